import instructor
from openai import OpenAI
from pydantic import BaseModel

class City(BaseModel):
    name: str
    people: int

client = instructor.from_openai(OpenAI(base_url="<BASE>", api_key="<KEY>"))
city = client.create(
    model="<MODEL>",
    response_model=City,
    messages=[{"role": "user", "content": "Which is the largest city of Norway?"}],
)
print(city)
