//! The text below the options in every command's help.

pub(super) const SERVE: &str = "\
Examples:
  codex-proxy                            with the Codex CLI's login, on 127.0.0.1:10455
  codex-proxy serve --simulate           with a simulated backend, without an account
  codex-proxy serve --listen unix:/run/user/1000/codex-proxy.sock";

pub(super) const SIMULATE: &str = "\
Examples:
  codex-proxy simulate                   on 127.0.0.1:10456
  codex-proxy simulate --listen 127.0.0.1:9000";

pub(super) const CONFIG: &str = "\
Examples:
  codex-proxy config                     every setting and where its value comes from
  codex-proxy config --config mine.toml  with another settings file
  codex-proxy config > config.toml       a file to start from (secrets are masked)";

pub(super) const CAPTURE: &str = "\
Examples:
  codex-proxy capture on                 the next 20 requests, for up to 10 minutes
  codex-proxy capture on --requests 1 --file report.jsonl
  codex-proxy capture off                stop it now
  codex-proxy serve --simulate --replay report.jsonl
                                         answer from a capture file

The file contains prompts and answers, but no tokens, keys or account ids.";

pub(super) const KEY: &str = "\
Examples:
  codex-proxy key new                    print a new key
  codex-proxy key new >> ~/.config/codex-proxy/keys
                                         add one to the `[server] api_key_file`";

pub(super) const LOGIN: &str = "\
Examples:
  codex-proxy login                      with a browser on this machine
  codex-proxy login --device             with a browser on another machine
  ssh laptop cat .codex/auth.json | codex-proxy login --with-token
                                         with the login from another machine

Exit codes: 67 declined, 68 network blocked, 69 sign-in service unavailable, 71 ports in use,
73 login cannot be written, 75 timed out, 76 answer to another sign-in.";

pub(super) const LOGOUT: &str = "\
Examples:
  codex-proxy logout                     remove the login that only codex-proxy uses
  codex-proxy logout --shared            remove the login shared with the Codex CLI";

pub(super) const STATUS: &str = "\
Examples:
  codex-proxy status                     the account, the plan and the token's expiry
  codex-proxy status --limits            with the plan's limits
  codex-proxy status --json              for scripts; exit code 77 if nobody is signed in";

pub(super) const HEALTH: &str = "\
Examples:
  codex-proxy health                     one line, and exit code 0 if the daemon is running
  codex-proxy health --json
  HEALTHCHECK CMD [\"codex-proxy\", \"health\"]
                                         in a Dockerfile

Exit codes: 0 the daemon answers, 69 no answer, or not from codex-proxy.";

pub(super) const DOCTOR: &str = "\
Examples:
  codex-proxy doctor                     check everything except a model call
  codex-proxy doctor --live              also make one tiny model call (uses the plan)
  codex-proxy doctor --offline           check this machine only
  codex-proxy doctor --json              for scripts and bug reports

Exit codes: that of the most severe problem, in this order: 78 settings, 77 login, 69 network,
backend or address, 70 anything else. 0 if there is none; warnings do not count.";

pub(super) const MODELS: &str = "\
Examples:
  codex-proxy models                     list the model names for clients
  codex-proxy models --json";

pub(super) const CHAT: &str = "\
Examples:
  codex-proxy chat \"Why is the sky blue?\"
  codex-proxy chat --model gpt-5.5 --effort high --reasoning \"Prove it.\"
  git diff | codex-proxy chat \"Write a commit message for this:\" -
  codex-proxy chat < question.txt

Exit codes: 64 invalid request or unknown model, 69 no daemon or no answer, 77 not signed in,
78 wrong API key for the daemon.";

pub(super) const RUN: &str = "\
Examples:
  codex-proxy run -- aider --model openai/gpt-5.5
  codex-proxy run -- python my_script.py
  codex-proxy run --simulate -- pytest   with a simulated backend

Sets OPENAI_BASE_URL, OPENAI_API_BASE and OPENAI_API_KEY for the command, and adds this machine to
NO_PROXY. A daemon that was started for the command stops with it.

Exit codes: that of the command, 128 plus the signal number if a signal ended it, 126 if it cannot
be run, 127 if it is not found; 69, 77 or 78 if no daemon is available.";

pub(super) const SNIPPET: &str = "\
Examples:
  codex-proxy snippet                    list the clients
  codex-proxy snippet python
  codex-proxy snippet zed --model gpt-5.5
  eval \"$(codex-proxy snippet env --show-key)\"";

pub(super) const COMPLETIONS: &str = "\
Examples:
  source <(codex-proxy completions bash)
  codex-proxy completions zsh > ~/.zfunc/_codex-proxy
  codex-proxy completions fish > ~/.config/fish/completions/codex-proxy.fish
  codex-proxy completions powershell | Out-String | Invoke-Expression";

pub(super) const MAN: &str = "\
Examples:
  codex-proxy man | man -l -             read it
  codex-proxy man --out /usr/local/share/man/man1
                                         write one page per command";

#[cfg(unix)]
pub(super) const SERVICE: &str = "\
Examples:
  codex-proxy service install            start it now and at every login
  codex-proxy service install --print    only show the files
  codex-proxy service status             is it running, and does it answer?
  codex-proxy service logs --follow      follow its log
  codex-proxy service uninstall          stop it and remove its files; keep the login";
