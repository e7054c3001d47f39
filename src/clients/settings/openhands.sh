export LLM_MODEL=openai/default
export LLM_BASE_URL='<BASE>'
export LLM_API_KEY='<KEY>'
openhands --override-with-envs
