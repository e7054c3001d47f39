import OpenAI from "openai";

const client = new OpenAI({ baseURL: "<BASE>", apiKey: "<KEY>" });
const answer = await client.chat.completions.create({
  model: "<MODEL>",
  messages: [{ role: "user", content: "Hello!" }],
});
console.log(answer.choices[0].message.content);
