//! The command line: parsing it and running the command.
//!
//! A command is a variant of `Command` and an arm of `Cli::run`; `run/` is the
//! command `run`, and `serve.rs` runs the daemon until a signal stops it. Shared by several:
//!
//! | file | holds |
//! |---|---|
//! | `daemon.rs`, `client_keys.rs` | how a command reaches the running daemon |
//! | `sign.rs` | the login of a command that calls the backend itself |
//! | `output.rs` | printing, with and without colours |
//! | `exit.rs`, `signals.rs` | how the program ends |
//! | `examples.rs` | the text below the options in every command's help |

mod capture;
mod chat;
mod client_keys;
mod completions;
mod container;
mod daemon;
mod doctor;
mod examples;
mod exit;
mod health;
mod key;
mod login;
mod logout;
mod man;
mod models;
mod notify;
mod output;
mod run;
mod serve;
#[cfg(unix)]
mod service;
mod sign;
mod signals;
mod snippet;
mod status;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

pub use self::exit::{Exit, Failure};
pub use self::serve::Backend;
use crate::config::{self, Config, Effective, Flags, LogFormat};
use crate::telemetry;

const EXAMPLES: &str = "\
Examples:
  codex-proxy                            serve on 127.0.0.1:10455 with the Codex CLI's login
  codex-proxy serve --simulate           try it without an account: nothing leaves this machine
  codex-proxy --listen 127.0.0.1:8080    serve on another port
  codex-proxy login                      sign in with a browser; --device without one
  codex-proxy status --limits            who is signed in, and the plan's limits
  codex-proxy doctor                     find problems and how to fix them
  codex-proxy health                     is the daemon running? for container health checks
  codex-proxy models                     list the models
  codex-proxy chat \"Hello!\"              ask something
  codex-proxy snippet python             settings for a client
  codex-proxy run -- aider               run a program with OPENAI_* set
  codex-proxy key new                    create an API key for `[server] api_keys`
  codex-proxy service install            install as a background service
  codex-proxy config                     show the current settings and their sources
  codex-proxy capture on                 record the next requests and answers to a file
  codex-proxy simulate --listen 127.0.0.1:9000
                                         a simulated Codex backend for your own tests

Clients need base_url = \"http://127.0.0.1:10455/v1\" and any API key,
or one of `[server] api_keys` if there are any.

Exit codes:
  0 success, 64 wrong usage, 67 sign-in declined, 68 network blocked by Cloudflare,
  69 backend or sign-in service unavailable, 70 internal error, 71 sign-in port in use,
  73 login or file cannot be written, 75 sign-in timed out, 76 answer to another sign-in,
  77 not signed in, 78 invalid settings, 130 interrupted by a signal;
  of `run`: 126 command cannot be run, 127 command not found, 128 and above ended by a signal,
  otherwise the command's own";

/// A local OpenAI API over your own ChatGPT plan.
#[derive(Debug, Parser)]
#[command(name = "codex-proxy", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Options that may be given before or after any command.
#[derive(Debug, Default, Args)]
struct Options {
    /// The settings file [default: codex-proxy/config.toml in the system's settings folder]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:10455; `simulate`: 127.0.0.1:10456]
    #[arg(long, value_name = "ADDR", global = true)]
    listen: Option<String>,
    /// The format of the log on standard error [default: text]
    #[arg(long, value_name = "FORMAT", global = true, value_parser = ["text", "json"])]
    log_format: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon (the default command)
    #[command(after_help = examples::SERVE)]
    Serve {
        /// Use a simulated backend: no account needed, nothing leaves this machine
        #[arg(long)]
        simulate: bool,
        /// Answer from a file written by `codex-proxy capture` instead of simulating answers
        #[arg(long, value_name = "FILE", requires = "simulate")]
        replay: Option<PathBuf>,
        /// Stop when standard input ends, for a daemon that another process has started
        #[arg(long = run::UNTIL_STDIN_ENDS, hide = true)]
        until_stdin_ends: bool,
    },
    /// Run the simulated Codex backend alone
    #[command(after_help = examples::SIMULATE)]
    Simulate,
    /// Print the current settings and where each value comes from
    #[command(after_help = examples::CONFIG)]
    Config,
    /// Record requests and answers to a file, for bug reports
    #[command(after_help = examples::CAPTURE)]
    Capture(capture::Arguments),
    /// Check whether the daemon is running (exit code 0; 69 if not)
    #[command(after_help = examples::HEALTH)]
    Health(health::Arguments),
    /// Check settings, login, network and clients, and suggest fixes
    #[command(after_help = examples::DOCTOR)]
    Doctor(doctor::Arguments),
    /// List the models
    #[command(after_help = examples::MODELS)]
    Models(models::Arguments),
    /// Ask a question and print the answer as it arrives
    #[command(after_help = examples::CHAT)]
    Chat(chat::Arguments),
    /// Run a command with OPENAI_* set, starting the daemon if needed
    #[command(after_help = examples::RUN)]
    Run(run::Arguments),
    /// Print the settings for a client
    #[command(after_help = examples::SNIPPET)]
    Snippet(snippet::Arguments),
    /// Create API keys for clients of the daemon
    #[command(after_help = examples::KEY)]
    Key(key::Arguments),
    /// Sign in with ChatGPT
    #[command(after_help = examples::LOGIN)]
    Login(login::Arguments),
    /// Sign out
    #[command(after_help = examples::LOGOUT)]
    Logout(logout::Arguments),
    /// Show who is signed in
    #[command(after_help = examples::STATUS)]
    Status(status::Arguments),
    /// Print shell completions
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::Arguments),
    /// Print or write the manual pages
    #[command(after_help = examples::MAN)]
    Man(man::Arguments),
    /// Run the daemon as a background service (systemd or launchd)
    #[cfg(unix)]
    #[command(after_help = examples::SERVICE)]
    Service(service::Arguments),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version arrive here too. A closed pipe is not an error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok }.into();
        }
    };
    match cli.run() {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            if !failure.is_silent() {
                output::warn(&format!("codex-proxy: {failure}"));
            }
            failure.exit.into()
        }
    }
}

impl Cli {
    fn run(self) -> Result<(), Failure> {
        let options = self.options;
        match self.command.unwrap_or(Command::Serve {
            simulate: false,
            replay: None,
            until_stdin_ends: false,
        }) {
            Command::Serve { simulate, replay, until_stdin_ends } => {
                let (config, _) = options.settings()?;
                telemetry::init(config.log.format)?;
                if until_stdin_ends {
                    run::stop_with_stdin();
                }
                let backend = if simulate { Backend::Simulated { replay } } else { Backend::Codex };
                serve::serve(config, backend)
            }
            Command::Simulate => {
                let address = options.simulator_address()?;
                telemetry::init(options.simulator_log_format())?;
                serve::simulate(address)
            }
            Command::Key(arguments) => key::run(&arguments),
            Command::Login(arguments) => {
                let (config, _) = options.settings_without_listening()?;
                telemetry::init(config.log.format)?;
                login::run(&config, &arguments)
            }
            Command::Logout(arguments) => {
                let (config, _) = options.settings_without_listening()?;
                telemetry::init(config.log.format)?;
                logout::run(&config, &arguments)
            }
            Command::Status(arguments) => {
                let (config, _) = options.settings_without_listening()?;
                telemetry::init(config.log.format)?;
                let server = options.settings().ok().map(|(config, _)| config.server);
                status::run(&config, server.as_ref(), &arguments)
            }
            Command::Capture(arguments) => {
                let (config, _) = options.settings()?;
                capture::run(&config, &arguments)
            }
            Command::Health(arguments) => {
                let (config, _) = options.settings()?;
                health::run(&config, &arguments)
            }
            Command::Doctor(arguments) => doctor::run(&options, &arguments),
            Command::Models(arguments) => {
                let (config, _) = options.settings()?;
                models::run(&config, &arguments)
            }
            Command::Chat(arguments) => {
                let (config, _) = options.settings()?;
                chat::run(&config, &arguments)
            }
            Command::Run(arguments) => {
                let (config, _) = options.settings()?;
                let code = run::run(&config, options.config.as_deref(), &arguments)?;
                // The command's own code, which is none of those of `Exit`; nothing is left to do.
                std::process::exit(code.into())
            }
            Command::Snippet(arguments) => {
                let (config, _) = options.settings()?;
                snippet::run(&config, &arguments)
            }
            Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
            Command::Man(arguments) => man::run(&arguments, Cli::command()),
            #[cfg(unix)]
            Command::Service(arguments) => service::run(&options, arguments),
            Command::Config => {
                let (_, effective) = options.settings()?;
                output::print(&format!("{}{effective}", options.settings_file()))
            }
        }
    }
}

impl Options {
    fn settings(&self) -> Result<(Config, Effective), Failure> {
        self.load().map_err(container::advised)
    }

    fn load(&self) -> Result<(Config, Effective), config::Error> {
        config::load(self.config.as_deref(), self.flags())
    }

    fn flags(&self) -> Flags {
        Flags::default().with("server", "listen", "--listen", self.listen.clone()).with(
            "log",
            "format",
            "--log-format",
            self.log_format.clone(),
        )
    }

    /// The settings for a command that does not listen: the checks of `listen` do not apply to it.
    fn settings_without_listening(&self) -> Result<(Config, Effective), Failure> {
        let here = Some("127.0.0.1:0".to_owned());
        Self { listen: here, config: self.config.clone(), log_format: self.log_format.clone() }
            .settings()
    }

    /// A comment that says which settings file was looked for.
    fn settings_file(&self) -> String {
        let Some(path) = self.config.clone().or_else(config::default_file) else {
            return String::new();
        };
        let note = if path.exists() { "" } else { " (does not exist)" };
        format!("# settings file: {}{note}\n\n", path.display())
    }

    /// The simulated backend holds no secrets and spends nothing, so any address will do.
    fn simulator_address(&self) -> Result<SocketAddr, Failure> {
        let text = self.listen.as_deref().unwrap_or("127.0.0.1:10456");
        text.parse().map_err(|_| {
            let message = format!(
                "flag --listen: \"{text}\" is not an address with a port; use one such as \
                 127.0.0.1:10456"
            );
            Failure::new(Exit::Usage, message)
        })
    }

    /// The simulated backend reads no settings: what it does depends on nothing but its flags.
    fn simulator_log_format(&self) -> LogFormat {
        match self.log_format.as_deref() {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_or_after_the_command() {
        for line in [
            &["codex-proxy", "--listen", "[::1]:1", "serve"][..],
            &["codex-proxy", "serve", "--listen", "[::1]:1"],
            &["codex-proxy", "--listen", "[::1]:1"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.options.listen.as_deref(), Some("[::1]:1"), "{line:?}");
        }
    }

    #[test]
    fn every_command_has_examples_in_its_help() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let name = command.get_name();
            assert!(help.starts_with("Examples:\n"), "{name} has none");
            assert!(help.contains(&format!("codex-proxy {name}")) || name == "serve", "{name}");
            assert!(command.get_about().is_some(), "{name}");
        }
    }

    /// The words of a line of examples, without what a shell or a reader takes from it.
    fn words(line: &str) -> Vec<String> {
        let line = line.trim_start().split("  ").next().unwrap_or_default();
        let line = line.split(['>', '|', '<']).next().unwrap_or_default().replace('"', "");
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn every_example_is_a_line_that_is_understood() {
        let mut count = 0;
        let command = Cli::command();
        for command in command.get_subcommands().chain([&command]) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter(|line| line.starts_with("  codex-proxy")) {
                let parsed = Cli::try_parse_from(words(line));
                assert!(parsed.is_ok(), "{line}: {:?}", parsed.err().map(|e| e.to_string()));
                count += 1;
            }
        }
        assert!(count > 40, "{count}");
    }

    #[test]
    fn every_exit_code_is_in_the_help() {
        for exit in Exit::ALL {
            let code = format!("{} ", exit as u8);
            assert!(EXAMPLES.contains(&code), "{exit:?}");
        }
    }
}
