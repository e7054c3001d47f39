aider --model 'openai/<MODEL>' --openai-api-base '<BASE>' --openai-api-key '<KEY>'
