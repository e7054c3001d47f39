from openai import OpenAI

client = OpenAI(base_url="<BASE>", api_key="<KEY>")
answer = client.chat.completions.create(
    model="<MODEL>",
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)
