from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="<MODEL>", base_url="<BASE>", api_key="<KEY>", stream_usage=True
)
for chunk in model.stream("Hello!"):
    print(chunk.content, end="")
