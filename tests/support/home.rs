//! A home folder, and the programs that run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::{Ended, PROGRAM, Program};
use super::secrets::{FAKE_REFRESH_TOKEN, FAKE_TOKEN};

/// A home folder, which is also `CODEX_HOME`, and the environment of the programs that run in it.
#[derive(Clone)]
pub struct Home {
    folder: Arc<TempDir>,
    variables: Vec<(String, String)>,
}

impl Home {
    /// One where nobody is signed in. Nothing listens where its programs look for the backend and
    /// the sign-in service: no test may ever ask the real ones.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let data = format!("{path}/data");
        let variables = [
            ("HOME", path.as_str()),
            ("CODEX_HOME", path.as_str()),
            ("XDG_CONFIG_HOME", path.as_str()),
            ("XDG_DATA_HOME", data.as_str()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("CODEX_PROXY_UPSTREAM_BASE_URL", "http://127.0.0.1:1"),
            ("CODEX_PROXY_AUTH_ISSUER", "http://127.0.0.1:1"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { variables: variables.to_vec(), folder: Arc::new(folder) }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The file of the login.
    pub fn file(&self) -> PathBuf {
        self.path().join("auth.json")
    }

    /// What is in the file of the login.
    pub fn read(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap()
    }

    pub fn write(&self, document: &Value) {
        std::fs::write(self.file(), serde_json::to_vec_pretty(document).unwrap()).unwrap();
    }

    /// The names of what is in the folder.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Writes a made-up login of a plan, which was just renewed: it is not renewed again, not even
    /// if the backend refuses it.
    pub fn sign_in(&self, account: &str) {
        self.sign_in_with(account, Some(jiff::Timestamp::now()));
    }

    /// Writes one that is renewed if the backend refuses it.
    pub fn sign_in_renewable(&self, account: &str) {
        self.sign_in_with(account, None);
    }

    fn sign_in_with(&self, account: &str, last_refresh: Option<jiff::Timestamp>) {
        let mut login = json!({"auth_mode": "chatgpt", "OPENAI_API_KEY": null,
            "tokens": {"id_token": "", "access_token": FAKE_TOKEN,
                "refresh_token": FAKE_REFRESH_TOKEN, "account_id": account}});
        if let Some(time) = last_refresh {
            login["last_refresh"] = time.to_string().into();
        }
        self.write(&login);
        #[cfg(unix)]
        set_mode(&self.file(), 0o600);
    }

    /// Takes the login away, as `codex logout` does.
    pub fn sign_out(&self) {
        std::fs::remove_file(self.file()).unwrap();
    }

    /// Sets a variable for all programs from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(set, _)| set != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub fn set_all(&mut self, variables: &[(&str, &str)]) {
        for (name, value) in variables {
            self.set(name, value);
        }
    }

    /// Sets the address of the backend.
    pub fn set_backend(&mut self, base_url: &str) {
        self.set("CODEX_PROXY_UPSTREAM_BASE_URL", base_url);
    }

    /// The program, with nothing else in its environment than the variables of this home.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(PROGRAM, arguments)
    }

    /// The same for another program, such as a shell that starts ours.
    pub fn command_of(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.command(arguments).output().unwrap())
    }

    /// The same with something on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        Ended::with_input(self.command(arguments), input)
    }

    /// Starts the program.
    pub fn start(&self, arguments: &[&str]) -> Program {
        self.spawn(self.command(arguments))
    }

    /// Starts a command of this home.
    pub fn spawn(&self, command: Command) -> Program {
        Program::of(command, self.clone())
    }

    /// A daemon on a free port, which listens.
    pub fn daemon(&self, arguments: &[&str]) -> Program {
        self.start(&[&["--listen", "127.0.0.1:0"], arguments].concat()).listening()
    }

    /// The same with a simulated backend.
    pub fn simulating(&self) -> Program {
        self.daemon(&["serve", "--simulate"])
    }

    /// The simulated backend alone, which is that of this home from now on.
    pub fn simulated_backend(&mut self) -> Program {
        let backend = self.start(&["simulate", "--listen", "127.0.0.1:0"]).listening();
        self.set_backend(&format!("http://{}/backend-api/codex", backend.address));
        backend
    }
}

#[cfg(unix)]
pub fn set_mode(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}
