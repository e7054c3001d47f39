//! The threads that serve connections.
//!
//! A connection and its calls to the backend stay on one thread: no other processor has to wake up
//! up between an event and its chunk. The accepting thread serves the first connections itself, so
//! that a single user's requests find warm connections to the backend; others are started when
//! needed.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::connection::Host;

/// With so many connections a thread gets no further ones if another thread can take them.
const CONNECTIONS_PER_WORKER: usize = 8;

/// Threads besides the accepting one, started when needed. They run until this is dropped: they may
/// have work that outlives the connections.
pub struct WorkerPool {
    most: usize,
    router: Box<dyn Fn() -> Router + Send + Sync>,
    started: Vec<Worker>,
    threads: Threads,
}

/// The started threads of [`WorkerPool`], for the watchdog.
#[derive(Clone, Default)]
pub struct Threads(Arc<Mutex<Vec<Handle>>>);

/// One of the threads.
struct Worker {
    runtime: Handle,
    router: Router,
    load: Load,
    /// Stops it on drop.
    _end: oneshot::Sender<()>,
}

/// The number of connections of a thread.
#[derive(Clone, Default)]
pub(super) struct Load(Arc<AtomicUsize>);

/// Counts a connection of a thread until it is dropped.
pub(super) struct ConnectionGuard(Load);

/// The thread that is to serve a connection.
pub(super) struct Assignment {
    /// The thread; `None` for the accepting one.
    pub(super) runtime: Option<Handle>,
    pub(super) host: Host,
    pub(super) guard: ConnectionGuard,
}

impl WorkerPool {
    /// Up to so many threads, including the accepting one. Each gets its own router from `router`
    /// when it starts.
    pub fn new(threads: usize, router: impl Fn() -> Router + Send + Sync + 'static) -> Self {
        let most = threads.saturating_sub(1);
        let threads = Threads::default();
        Self { most, router: Box::new(router), started: Vec::new(), threads }
    }

    /// The threads, including those started later.
    pub fn threads(&self) -> Threads {
        self.threads.clone()
    }

    /// The default number of threads on this machine.
    pub fn sensible() -> usize {
        // One of them handles ten thousand short requests per second.
        const MAX_WORKERS: usize = 4;
        std::thread::available_parallelism()
            .map_or(1, |processors| processors.get().min(MAX_WORKERS))
    }

    /// The thread for the next connection; `own` is the load of the accepting thread.
    pub(super) fn assign(&mut self, host: &Host, own: &Load) -> Assignment {
        let loads = std::iter::once(own).chain(self.started.iter().map(|worker| &worker.load));
        let counts: Vec<usize> = loads.map(Load::count).collect();
        let mut chosen = choose(&counts, self.started.len() < self.most);
        if chosen == counts.len() {
            match Worker::start((self.router)()) {
                Ok(worker) => {
                    self.threads.push(worker.runtime.clone());
                    self.started.push(worker);
                }
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "cannot start a thread; continuing with the existing ones"
                    );
                    self.most = self.started.len();
                    chosen = choose(&counts, false);
                }
            }
        }
        match chosen.checked_sub(1).and_then(|index| self.started.get(index)) {
            None => Assignment { runtime: None, host: host.clone(), guard: own.take() },
            Some(worker) => Assignment {
                runtime: Some(worker.runtime.clone()),
                host: host.with(worker.router.clone()),
                guard: worker.load.take(),
            },
        }
    }
}

/// Which of the threads with these loads takes another connection: the first one below the limit,
/// else a new one if allowed, else the one with the lowest load.
fn choose(counts: &[usize], may_start: bool) -> usize {
    let free = counts.iter().position(|&count| count < CONNECTIONS_PER_WORKER);
    let fewest = || {
        if may_start {
            return counts.len();
        }
        (0..counts.len()).min_by_key(|&index| counts[index]).unwrap_or(0)
    };
    free.unwrap_or_else(fewest)
}

impl Worker {
    fn start(router: Router) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
            let _ = runtime.block_on(ended);
            // Blocking tasks are not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, router, load: Load::default(), _end: end })
    }
}

impl Threads {
    fn push(&self, thread: Handle) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    /// Waits until each of the threads has run a task, which a stuck thread never does. Stopped
    /// threads are skipped.
    pub async fn answer(&self) {
        let threads = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answers: Vec<_> = threads.iter().map(|thread| thread.spawn(async {})).collect();
        for answer in answers {
            // An error means that the thread has stopped.
            let _ = answer.await;
        }
    }
}

impl Load {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self) -> ConnectionGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        ConnectionGuard(self.clone())
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use super::*;

    #[test]
    fn a_thread_begins_when_the_others_have_enough() {
        for (counts, may_start, expected) in [
            (&[0][..], true, 0),
            (&[7], true, 0),
            (&[8], true, 1),
            (&[8], false, 0),
            (&[8, 3], true, 1),
            (&[2, 8], true, 0),
            (&[9, 8], true, 2),
            (&[9, 8], false, 1),
            (&[8, 8, 8], false, 0),
        ] {
            assert_eq!(choose(counts, may_start), expected, "{counts:?} {may_start}");
        }
    }

    async fn is_pending(mut future: Pin<&mut impl Future>) -> bool {
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
    }

    #[tokio::test]
    async fn a_thread_that_is_stuck_does_not_answer() {
        let threads = Threads::default();
        threads.answer().await;
        let workers = [(); 2].map(|()| Worker::start(Router::new()).unwrap());
        for worker in &workers {
            threads.push(worker.runtime.clone());
        }
        threads.answer().await;
        let (free, blocked) = std::sync::mpsc::channel::<()>();
        let (stuck, is_stuck) = oneshot::channel();
        workers[1].runtime.spawn(async move {
            stuck.send(()).unwrap();
            blocked.recv().unwrap();
        });
        is_stuck.await.unwrap();
        let mut answered = pin!(threads.answer());
        assert!(is_pending(answered.as_mut()).await);
        workers[0].runtime.spawn(async {}).await.unwrap();
        assert!(is_pending(answered.as_mut()).await);
        free.send(()).unwrap();
        answered.await;
        // Nor are those waited for that have ended.
        drop(workers);
        threads.answer().await;
    }

    #[test]
    fn a_place_is_taken_until_it_is_dropped() {
        let load = Load::default();
        let guards = [load.take(), load.take()];
        assert_eq!(load.count(), 2);
        drop(guards);
        assert_eq!(load.count(), 0);
    }
}
