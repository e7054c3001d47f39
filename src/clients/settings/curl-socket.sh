curl --unix-socket '<SOCKET>' <BASE>/chat/completions \
  -H 'authorization: Bearer <KEY>' -H 'content-type: application/json' \
  -d '{"model": "<MODEL>", "messages": [{"role": "user", "content": "Hello!"}]}'
