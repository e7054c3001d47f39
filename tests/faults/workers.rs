//! Many connections at once, which are served by more than one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use codex_proxy::server::{self, Limits, WorkerPool};
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::{Barrier, oneshot};
use tokio::time::timeout;

/// Says on which thread it was served, once all are there.
fn threads(all: usize) -> Router {
    let barrier = Arc::new(Barrier::new(all));
    Router::new().route(
        "/",
        get(move || {
            let barrier = Arc::clone(&barrier);
            async move {
                barrier.wait().await;
                format!("{:?}", std::thread::current().id())
            }
        }),
    )
}

/// So many clients at once over connections of their own: the threads that served them.
async fn served(url: &str, clients: usize) -> Vec<String> {
    let asked = (0..clients).map(|_| async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.get(url).send().await.unwrap().text().await.unwrap()
    });
    let mut threads = timeout(Duration::from_secs(20), join_all(asked)).await.unwrap();
    threads.sort();
    threads.dedup();
    threads
}

#[tokio::test]
async fn further_threads_take_what_is_too_much_for_the_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let router = threads(40);
    let shared = router.clone();
    let mut workers = WorkerPool::new(3, move || {
        count.fetch_add(1, Ordering::Relaxed);
        shared.clone()
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        server::serve_on(&mut workers, listener, router, Limits::default(), stopped).await;
    });
    // All wait for each other, so that all are open at once.
    let threads = served(&url, 40).await;
    assert_eq!((threads.len(), made.load(Ordering::Relaxed)), (3, 2), "{threads:?}");
    // Idle connections of other threads end with the daemon too.
    drop(stop);
    timeout(Duration::from_secs(20), serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_few_connections_stay_on_the_thread_that_accepts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut workers = WorkerPool::new(3, || unreachable!("there is no need of it"));
    tokio::spawn(async move {
        let never = std::future::pending();
        server::serve_on(&mut workers, listener, threads(5), Limits::default(), never).await;
    });
    let own = format!("{:?}", std::thread::current().id());
    assert_eq!(served(&url, 5).await, [own]);
}
