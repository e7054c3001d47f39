//! How much a model thinks before it answers.

use std::cmp::Reverse;
use std::fmt;

/// A reasoning effort, from none at all to the most there is.
///
/// Models list further words of the Codex CLI's own (`ultra`, which also delegates work); these
/// are not part of the Chat Completions API and not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    /// `none`
    None,
    /// `minimal`
    Minimal,
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `xhigh`
    Xhigh,
    /// `max`
    Max,
}

impl Effort {
    /// Every effort, ascending.
    pub const ALL: [Self; 7] =
        [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Xhigh, Self::Max];

    /// The effort of a word on the wire.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.as_str() == word)
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// The nearest effort that a model offers; of two equally near ones the greater, because an answer
/// that took longer disappoints less than a worse one. A model that offers nothing is left to judge
/// for itself.
pub fn clamp(wanted: Effort, offered: &[Effort]) -> Effort {
    let distance = |effort: Effort| (wanted as u8).abs_diff(effort as u8);
    let key = |effort: &&Effort| (distance(**effort), Reverse(**effort));
    offered.iter().min_by_key(key).copied().unwrap_or(wanted)
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Effort::{self, High, Low, Max, Medium, Minimal, None, Xhigh};
    use super::clamp;

    #[test]
    fn words_and_efforts_correspond() {
        for effort in Effort::ALL {
            assert_eq!(Effort::parse(effort.as_str()), Some(effort));
        }
        for word in ["", "LOW", "ultra", "low "] {
            assert_eq!(Effort::parse(word), Option::None, "{word:?}");
        }
        assert!(Effort::ALL.is_sorted());
    }

    #[test]
    fn an_effort_that_is_not_offered_becomes_the_nearest() {
        let usual = [Low, Medium, High, Xhigh];
        let cases: &[(Effort, &[Effort], Effort)] = &[
            (Medium, &usual, Medium),
            (Minimal, &usual, Low),
            (None, &usual, Low),
            (Max, &usual, Xhigh),
            (Max, &[Low, Max], Max),
            (Minimal, &[None, Low], Low),
            (Medium, &[High, Low], High),
            (Xhigh, &[], Xhigh),
        ];
        for (wanted, offered, expected) in cases {
            assert_eq!(clamp(*wanted, offered), *expected, "{wanted} of {offered:?}");
        }
    }
}
