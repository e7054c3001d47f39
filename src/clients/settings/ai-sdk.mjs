import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";

const codex = createOpenAICompatible({
  name: "codex-proxy",
  baseURL: "<BASE>",
  apiKey: "<KEY>",
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const answer = streamText({ model: codex("<MODEL>"), prompt: "Hello!" });
for await (const text of answer.textStream) process.stdout.write(text);
