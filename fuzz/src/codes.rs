//! Codes that an installation explains, for what the platform's own table says otherwise.

use std::collections::HashMap;

use clave_otp::{
    domain::Reason,
    gateway::{CodeMap, CodeMeaning, Effect},
};

/// A map of these codes.
pub fn explained(codes: &[(i64, Effect)]) -> CodeMap {
    let meanings = codes.iter().map(|(code, effect)| {
        let reason = Reason::known("OWN_WORD");
        let effect = *effect;
        (*code, CodeMeaning { reason, effect })
    });
    CodeMap::new(meanings.collect::<HashMap<_, _>>())
}
