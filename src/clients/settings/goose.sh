export GOOSE_PROVIDER=openai
export GOOSE_MODEL='<MODEL>'
export OPENAI_HOST='<ORIGIN>'
export OPENAI_BASE_PATH=chat/completions
export OPENAI_API_KEY='<KEY>'
