//! Reasoning effort: the one word that both protocols share.

/// How much the model thinks before it answers, least first.
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
    /// All of them, least first.
    pub const ALL: [Self; 7] =
        [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Xhigh, Self::Max];

    /// The effort of this name. Models list further words of the Codex CLI's own (`ultra`), which
    /// are not part of the API and not known here.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.as_str() == name)
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
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

    /// The nearest of `offered`; this one itself if nothing is known of what is offered.
    ///
    /// The backend refuses an effort that the model does not list. Of two equally near ones the
    /// lower is taken: it costs less.
    #[must_use]
    pub fn clamp_to(self, offered: &[Self]) -> Self {
        let distance = |other: Self| (self as i8).abs_diff(other as i8);
        offered.iter().copied().min_by_key(|other| (distance(*other), *other)).unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for effort in Effort::ALL {
            assert_eq!(Effort::parse(effort.as_str()), Some(effort));
        }
        assert!(Effort::parse("ultra").is_none());
        assert!(Effort::parse("High").is_none());
    }

    #[test]
    fn an_effort_is_clamped_to_the_nearest_offered_one() {
        use Effort::{High, Low, Max, Medium, Minimal, None, Xhigh};
        let offered = [Low, Medium, High, Xhigh];
        assert_eq!(Minimal.clamp_to(&offered), Low);
        assert_eq!(None.clamp_to(&offered), Low);
        assert_eq!(Max.clamp_to(&offered), Xhigh);
        assert_eq!(High.clamp_to(&offered), High);
        assert_eq!(High.clamp_to(&[Low, Xhigh]), Xhigh);
        assert_eq!(High.clamp_to(&[]), High);
        assert_eq!(Medium.clamp_to(&[Low, High]), Low);
    }
}
