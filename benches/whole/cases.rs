//! What is measured.

use std::time::Duration;

/// What the backend answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    /// How many pieces of text.
    pub(crate) deltas: usize,
    /// The time from one to the next; all at once if there is none.
    pub(crate) pace: Option<Duration>,
}

/// How the backend is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// HTTP/1.1 in plain text.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls1,
    /// HTTP/2 over TLS.
    Tls2,
}

impl Wire {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls1 => "tls1",
            Self::Tls2 => "tls2",
        }
    }

    pub(crate) fn of(name: &str) -> Self {
        [Self::Plain, Self::Tls1, Self::Tls2].into_iter().find(|wire| wire.name() == name).unwrap()
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How many ask at the same time, each over a connection that stays open.
    pub(crate) clients: usize,
    /// How many requests all of them make together.
    pub(crate) requests: usize,
    pub(crate) answer: Answer,
    /// Whether the client asks for a stream.
    pub(crate) is_streamed: bool,
    /// The size of a request.
    pub(crate) request: usize,
    pub(crate) wire: Wire,
}

const SHORT: Answer = Answer { deltas: 2, pace: None };
const BURST: Answer = Answer { deltas: 1000, pace: None };
const PACED: Answer = Answer { deltas: 300, pace: Some(Duration::from_millis(10)) };

const BASE: Case = Case {
    name: "",
    clients: 1,
    requests: 1,
    answer: SHORT,
    is_streamed: true,
    request: 4 << 10,
    wire: Wire::Plain,
};

/// All of them, by the way to the backend.
pub(crate) const CASES: &[Case] = &[
    Case { name: "short, 1 client", requests: 2000, ..BASE },
    Case { name: "short, 64 clients", clients: 64, requests: 20_000, ..BASE },
    Case { name: "short, 1000 clients", clients: 1000, requests: 20_000, ..BASE },
    Case {
        name: "short, 64 clients, whole",
        clients: 64,
        requests: 20_000,
        is_streamed: false,
        ..BASE
    },
    Case { name: "512 KiB request, 1 client", requests: 200, request: 512 << 10, ..BASE },
    Case { name: "burst, 1 client", requests: 200, answer: BURST, ..BASE },
    Case { name: "burst, 64 clients", clients: 64, requests: 1280, answer: BURST, ..BASE },
    Case { name: "burst, 1000 clients", clients: 1000, requests: 2000, answer: BURST, ..BASE },
    Case {
        name: "burst, 64 clients, whole",
        clients: 64,
        requests: 1280,
        answer: BURST,
        is_streamed: false,
        ..BASE
    },
    Case { name: "paced, 64 clients", clients: 64, requests: 64, answer: PACED, ..BASE },
    Case { name: "short, 1 client, TLS", requests: 1000, wire: Wire::Tls1, ..BASE },
    Case {
        name: "short, 64 clients, TLS",
        clients: 64,
        requests: 10_000,
        wire: Wire::Tls1,
        ..BASE
    },
    Case {
        name: "burst, 64 clients, TLS",
        clients: 64,
        requests: 1280,
        answer: BURST,
        wire: Wire::Tls1,
        ..BASE
    },
    Case {
        name: "paced, 64 clients, TLS",
        clients: 64,
        requests: 64,
        answer: PACED,
        wire: Wire::Tls1,
        ..BASE
    },
    Case { name: "short, 1 client, HTTP/2", requests: 1000, wire: Wire::Tls2, ..BASE },
    Case {
        name: "short, 64 clients, HTTP/2",
        clients: 64,
        requests: 10_000,
        wire: Wire::Tls2,
        ..BASE
    },
    Case {
        name: "burst, 64 clients, HTTP/2",
        clients: 64,
        requests: 1280,
        answer: BURST,
        wire: Wire::Tls2,
        ..BASE
    },
    Case {
        name: "paced, 64 clients, HTTP/2",
        clients: 64,
        requests: 64,
        answer: PACED,
        wire: Wire::Tls2,
        ..BASE
    },
];

impl Case {
    /// Streams that are only held open; see `held` in `main.rs`.
    pub(crate) const HELD: [Self; 2] =
        [Self { name: "held", ..BASE }, Self { name: "held, HTTP/2", wire: Wire::Tls2, ..BASE }];

    /// Streams beside large requests; see `beside` in `main.rs`.
    pub(crate) const BESIDE: Self = Self { name: "beside 2 MiB requests", ..BASE };

    /// The same, only to see that it works.
    pub(crate) fn tiny(&self) -> Self {
        let clients = self.clients.min(3);
        let deltas = self.answer.deltas.min(5);
        let answer = Answer { deltas, pace: self.answer.pace };
        Self { clients, requests: clients * 2, answer, ..*self }
    }
}
