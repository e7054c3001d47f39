//! What stands below the options in every command's help.

pub(super) const SERVE: &str = "\
Examples:
  codex-proxy                            with the login of the Codex CLI, on 127.0.0.1:10455
  codex-proxy serve --simulate           with a made-up backend, without an account
  codex-proxy serve --listen unix:/run/user/1000/codex-proxy.sock";

pub(super) const SIMULATE: &str = "\
Examples:
  codex-proxy simulate                   on 127.0.0.1:10456
  codex-proxy simulate --listen 127.0.0.1:9000";

pub(super) const CONFIG: &str = "\
Examples:
  codex-proxy config                     every setting, and where its value is from
  codex-proxy config --config mine.toml  of another file
  codex-proxy config > config.toml       a file to begin with (secrets are masked)";

pub(super) const CAPTURE: &str = "\
Examples:
  codex-proxy capture on                 the next 20 requests, for 10 minutes at most
  codex-proxy capture on --requests 1 --file report.jsonl
  codex-proxy capture off                end it at once
  codex-proxy serve --simulate --replay report.jsonl
                                         answer from such a file

The file holds prompts and answers, but no tokens, keys and ids of the account.";

pub(super) const KEY: &str = "\
Examples:
  codex-proxy key new                    print a new key
  codex-proxy key new >> ~/.config/codex-proxy/keys
                                         add one to the file of `[server] api_key_file`";

pub(super) const LOGIN: &str = "\
Examples:
  codex-proxy login                      with the browser of this machine
  codex-proxy login --device             with a browser somewhere else
  ssh laptop cat .codex/auth.json | codex-proxy login --with-token
                                         with the login of another machine

Exit codes: 67 declined, 68 network blocked, 69 sign-in service not available, 71 ports taken,
73 the login cannot be written, 75 nobody finished it in time, 76 answer to another sign-in.";

pub(super) const LOGOUT: &str = "\
Examples:
  codex-proxy logout                     remove a login of codex-proxy's own
  codex-proxy logout --shared            remove the one that it shares with the Codex CLI";

pub(super) const STATUS: &str = "\
Examples:
  codex-proxy status                     the account, the plan, and when the token ends
  codex-proxy status --limits            what is left of the plan
  codex-proxy status --json              for scripts; exit code 77 if nobody is signed in";

pub(super) const HEALTH: &str = "\
Examples:
  codex-proxy health                     one line, and exit code 0 if the daemon runs
  codex-proxy health --json
  HEALTHCHECK CMD [\"codex-proxy\", \"health\"]
                                         in a Dockerfile

Exit codes: 0 the daemon answers, 69 nobody does or somebody else.";

pub(super) const DOCTOR: &str = "\
Examples:
  codex-proxy doctor                     check everything but a call, and say what to do
  codex-proxy doctor --live              make one tiny call, too, which counts against the plan
  codex-proxy doctor --offline           ask nobody but this machine
  codex-proxy doctor --json              for scripts and for reports of bugs

Exit codes: that of the gravest problem, in this order: 78 settings, 77 login, 69 network, backend
or address, 70 anything else. 0 if there is none; warnings do not count.";

pub(super) const MODELS: &str = "\
Examples:
  codex-proxy models                     which names clients can use
  codex-proxy models --json";

pub(super) const CHAT: &str = "\
Examples:
  codex-proxy chat \"Why is the sky blue?\"
  codex-proxy chat --model gpt-5.5 --effort high --reasoning \"Prove it.\"
  git diff | codex-proxy chat \"Write a commit message for this:\" -
  codex-proxy chat < question.txt

Exit codes: 64 wrong request or unknown model, 69 no daemon or no answer, 77 not signed in,
78 the daemon wants another key.";

pub(super) const RUN: &str = "\
Examples:
  codex-proxy run -- aider --model openai/gpt-5.5
  codex-proxy run -- python my_script.py
  codex-proxy run --simulate -- pytest   against a made-up backend

The command finds OPENAI_BASE_URL, OPENAI_API_BASE and OPENAI_API_KEY, and exceptions for this
machine in NO_PROXY. A daemon that had to be started ends with it.

Exit codes: that of the command, 128 and the signal's number if a signal ended it, 126 if it cannot
be run, 127 if it is not there; 69, 77 or 78 if there is no daemon to be had.";

pub(super) const SNIPPET: &str = "\
Examples:
  codex-proxy snippet                    which clients there are
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
                                         write a page for each command";

#[cfg(unix)]
pub(super) const SERVICE: &str = "\
Examples:
  codex-proxy service install            have it run now and after every sign-in
  codex-proxy service install --print    only show the files
  codex-proxy service status             does it run, and does it answer?
  codex-proxy service logs --follow      what it says
  codex-proxy service uninstall          stop it and remove its files; the login stays";
