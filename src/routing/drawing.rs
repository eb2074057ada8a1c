//! Which of the lawful ways of a code is tried first.
//!
//! Must not know: how an account comes to its share.

use super::Route;
use crate::domain::AccountId;

/// Puts the way that is to be tried first at the front; the others keep their order.
///
/// `share` tells for an account what part of new codes it is to be offered, in hundredths, and `lot` is drawn anew for each
/// code, 0 to 99. `is_tried` tells whether an account is to get this code whatever its share, to find out how its platform
/// fares; it is asked only of one that would come first so. Where nobody is drawn, the first that is offered anything at all
/// comes first, and where all are down to nothing the first keeps its place.
pub fn draw(
    ways: &mut [Route<'_>],
    share: impl Fn(&AccountId) -> u8,
    is_tried: impl Fn(&AccountId) -> bool,
    lot: u8,
) {
    if ways.len() < 2 {
        return;
    }
    let position = |wanted: &dyn Fn(&AccountId) -> bool| {
        ways.iter().position(|route| wanted(&route.account.id))
    };
    let drawn = position(&|account| lot < share(account) || is_tried(account))
        .or_else(|| position(&|account| share(account) > 0))
        .unwrap_or(0);
    ways[..=drawn].rotate_right(1);
}

#[cfg(test)]
mod tests {
    use crate::{
        domain::{AccountId, Recipient},
        routing::{Ask, draw, tests::administration, ways},
    };

    #[test]
    fn the_first_way_is_drawn_by_what_each_account_is_offered() {
        let mut administration = administration();
        for id in ["madrid-two", "madrid-three"] {
            let mut other = administration.accounts[0].clone();
            other.id = AccountId::parse(id).unwrap();
            administration.accounts.push(other);
        }
        let first = |shares: [u8; 3], tried: Option<&str>, lot: u8| {
            let recipient = Recipient::parse("+34600000001").unwrap();
            let ask = Ask {
                recipient: &recipient,
                sender: None,
                origin: None,
                today: "2026-11-22".parse().unwrap(),
            };
            let mut drawn = ways(&administration, &ask).unwrap();
            let share = |account: &AccountId| {
                let index = administration
                    .accounts
                    .iter()
                    .position(|of| of.id == *account);
                shares[index.unwrap()]
            };
            let is_tried = |account: &AccountId| tried == Some(account.as_str());
            draw(&mut drawn, share, is_tried, lot);
            assert_eq!(drawn.len(), 3);
            drawn[0].account.id.to_string()
        };
        assert_eq!(first([100, 100, 100], None, 99), "madrid-mn");
        assert_eq!(first([50, 100, 100], None, 49), "madrid-mn");
        assert_eq!(first([50, 100, 100], None, 50), "madrid-two");
        assert_eq!(first([0, 100, 100], None, 0), "madrid-two");
        // Nobody is drawn: whoever is offered anything, never one that rests.
        assert_eq!(first([0, 10, 50], None, 70), "madrid-two");
        assert_eq!(first([0, 0, 0], None, 0), "madrid-mn");
        // One that is to be tried, only if nobody before it takes the code.
        assert_eq!(first([0, 100, 100], Some("madrid-mn"), 99), "madrid-mn");
        assert_eq!(first([100, 0, 100], Some("madrid-two"), 99), "madrid-mn");
    }
}
