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
    /// `ultra`: a word of the Codex CLI and of its catalogue of models, never sent as it is.
    Ultra,
}

impl Effort {
    /// All of them, least first.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Minimal,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Xhigh,
        Self::Max,
        Self::Ultra,
    ];

    /// The effort of this name.
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
            Self::Ultra => "ultra",
        }
    }

    /// The nearest of `offered`; this one itself if nothing is known of what is offered.
    ///
    /// The backend refuses an effort that the model does not list. Of two equally near ones the
    /// lower is taken: it costs less. Never `ultra`, which the backend refuses although models list
    /// it: the Codex CLI sends `max` in its place.
    #[must_use]
    pub fn clamp_to(self, offered: &[Self]) -> Self {
        let this = self.min(Self::Max);
        let distance = |other: Self| (this as i8).abs_diff(other as i8);
        let sendable = offered.iter().copied().filter(|other| *other != Self::Ultra);
        sendable.min_by_key(|other| (distance(*other), *other)).unwrap_or(this)
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
        assert!(Effort::parse("ultimate").is_none());
        assert!(Effort::parse("High").is_none());
    }

    #[test]
    fn an_effort_is_clamped_to_the_nearest_offered_one() {
        use Effort::{High, Low, Max, Medium, Minimal, None, Ultra, Xhigh};
        let offered = [Low, Medium, High, Xhigh];
        assert_eq!(Minimal.clamp_to(&offered), Low);
        assert_eq!(None.clamp_to(&offered), Low);
        assert_eq!(Max.clamp_to(&offered), Xhigh);
        assert_eq!(High.clamp_to(&offered), High);
        assert_eq!(High.clamp_to(&[Low, Xhigh]), Xhigh);
        assert_eq!(High.clamp_to(&[]), High);
        assert_eq!(Medium.clamp_to(&[Low, High]), Low);
        for (offered, expected) in
            [(&[][..], Max), (&[High, Xhigh], Xhigh), (&[Xhigh, Max, Ultra], Max)]
        {
            assert_eq!(Ultra.clamp_to(offered), expected, "{offered:?}");
        }
        assert_eq!(Max.clamp_to(&[High, Ultra]), High);
    }
}
