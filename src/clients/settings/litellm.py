import litellm

answer = litellm.completion(
    model="openai/<MODEL>",
    api_base="<BASE>",
    api_key="<KEY>",
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)
