//! What proves that the one who redeems a code is the one who asked for it (PKCE, RFC 7636), and
//! that the browser comes back from the page it was sent to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// A verifier that is kept and a state that goes around.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) verifier: SecretString,
    state: SecretString,
}

impl Proof {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { verifier: random::<64>()?, state: random::<32>()? })
    }

    /// What goes into the address of the page (S256).
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.expose_secret()))
    }

    pub(super) fn state(&self) -> &str {
        self.state.expose_secret()
    }

    /// Whether this is the state that went out. Some pages append to it after a dot.
    pub(super) fn is_state(&self, returned: &str) -> bool {
        let sent = self.state();
        returned
            .strip_prefix(sent)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(".onboarding_entrypoint="))
    }
}

fn random<const N: usize>() -> Result<SecretString, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(*bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let proof = Proof { verifier: verifier.into(), state: "s".into() };
        assert_eq!(proof.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn every_proof_is_another_one() {
        let (one, two) = (Proof::new().unwrap(), Proof::new().unwrap());
        assert_ne!(one.challenge(), two.challenge());
        assert_ne!(one.state(), two.state());
        assert_eq!((one.verifier.expose_secret().len(), one.state().len()), (86, 43));
    }

    #[test]
    fn only_the_known_addition_to_a_state_is_accepted() {
        let proof = Proof { verifier: "v".into(), state: "abc".into() };
        for (returned, expected) in [
            ("abc", true),
            ("abc.onboarding_entrypoint=life_sciences", true),
            ("abcd", false),
            ("abc.other", false),
            ("ab", false),
            ("", false),
        ] {
            assert_eq!(proof.is_state(returned), expected, "{returned}");
        }
    }
}
