import httpx
from openai import OpenAI

http = httpx.Client(transport=httpx.HTTPTransport(uds="<SOCKET>"))
client = OpenAI(base_url="<BASE>", api_key="<KEY>", http_client=http)
answer = client.chat.completions.create(
    model="<MODEL>",
    messages=[{"role": "user", "content": "Hello!"}],
)
print(answer.choices[0].message.content)
