//! `codex-proxy models`

use crate::world::{World, free_address};

#[test]
fn the_daemons_models_come_as_a_table_and_as_json() {
    let world = World::new();
    let daemon = world.simulating();
    let ended = world.run(&["models", "--listen", &daemon.address]);
    ended.with(0, "gpt-5.5");
    assert!(ended.out.starts_with("MODEL "), "{}", ended.out);
    assert_eq!(ended.out.lines().filter(|line| line.ends_with(" yes")).count(), 1, "{}", ended.out);
    assert_eq!(ended.err, "");
    let json = world.run(&["models", "--json", "--listen", &daemon.address]).json();
    assert_eq!(json["source"], "daemon");
    let models = json["models"].as_array().unwrap();
    assert_eq!(models.len() + 1, ended.out.lines().count());
    assert!(models.iter().all(|model| model["context_length"].as_u64() > Some(0)), "{json}");
    assert_eq!(models.iter().filter(|model| model["default"] == true).count(), 1);
}

#[test]
fn the_default_is_that_of_the_codex_cli() {
    let world = World::new();
    std::fs::write(world.home.path().join("config.toml"), "model = \"gpt-5.2\"").unwrap();
    let daemon = world.simulating();
    let json = world.run(&["models", "--json", "--listen", &daemon.address]).json();
    let models = json["models"].as_array().unwrap();
    let default: Vec<_> = models.iter().filter(|model| model["default"] == true).collect();
    assert_eq!(default.len(), 1);
    assert_eq!(default[0]["id"], "gpt-5.2");
}

#[test]
fn without_a_daemon_the_backend_is_asked_and_that_is_said() {
    let mut world = World::new();
    let backend = world.simulated_backend();
    let address = free_address();
    world.run(&["models", "--listen", &address]).with(77, "not signed in");
    world.sign_in();
    let ended = world.run(&["models", "--listen", &address]);
    ended.with(0, "gpt-5.5");
    assert!(ended.err.contains("asked directly"), "{}", ended.err);
    let json = world.run(&["models", "--json", "--listen", &address]).json();
    assert_eq!(json["source"], "backend");
    drop(backend);
    world.run(&["models", "--listen", &address]).with(69, "cannot be reached");
}
