//! `codex-proxy models`

use crate::support::home::Home;
use crate::support::net::free_address;

#[test]
fn the_daemons_models_come_as_a_table_and_as_json() {
    let home = Home::new();
    let daemon = home.simulating();
    let ended = home.run(&["models", "--listen", &daemon.address]);
    ended.with(0, "gpt-5.5");
    assert!(ended.out.starts_with("MODEL "), "{}", ended.out);
    assert_eq!(ended.out.lines().filter(|line| line.ends_with(" yes")).count(), 1, "{}", ended.out);
    assert_eq!(ended.err, "");
    let json = home.run(&["models", "--json", "--listen", &daemon.address]).json();
    assert_eq!(json["source"], "daemon");
    let models = json["models"].as_array().unwrap();
    assert_eq!(models.len() + 1, ended.out.lines().count());
    assert!(models.iter().all(|model| model["context_length"].as_u64() > Some(0)), "{json}");
    assert_eq!(models.iter().filter(|model| model["default"] == true).count(), 1);
}

#[test]
fn the_default_is_that_of_the_codex_cli() {
    let home = Home::new();
    std::fs::write(home.path().join("config.toml"), "model = \"gpt-5.2\"").unwrap();
    let daemon = home.simulating();
    let json = home.run(&["models", "--json", "--listen", &daemon.address]).json();
    let models = json["models"].as_array().unwrap();
    let default: Vec<_> = models.iter().filter(|model| model["default"] == true).collect();
    assert_eq!(default.len(), 1);
    assert_eq!(default[0]["id"], "gpt-5.2");
}

#[test]
fn without_a_daemon_the_backend_is_asked_and_that_is_said() {
    let mut home = Home::new();
    let backend = home.simulated_backend();
    let address = free_address();
    home.run(&["models", "--listen", &address]).with(77, "not signed in");
    home.sign_in("account-1");
    let ended = home.run(&["models", "--listen", &address]);
    ended.with(0, "gpt-5.5");
    assert!(ended.err.contains("asked directly"), "{}", ended.err);
    let json = home.run(&["models", "--json", "--listen", &address]).json();
    assert_eq!(json["source"], "backend");
    drop(backend);
    home.run(&["models", "--listen", &address]).with(69, "cannot be reached");
}
