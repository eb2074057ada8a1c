//! Which of the lawful ways of a code is tried first.
//!
//! Must not know: how an account comes to its share.

use super::Route;
use crate::domain::AccountId;

/// As many lots as [`draw`] knows.
pub const LOTS: u32 = 10_000;

/// Puts the way that is to be tried first at the front; the others keep their order.
///
/// `share` tells for an account what part of new codes it is to be offered, in hundredths, and `lot` is drawn anew for each
/// code, below [`LOTS`]. The first account gets its share, the next one its share of the rest, and so on; what is left over goes to the one with the
/// largest share, and where all are down to nothing the first keeps its place. `is_tried` tells whether an account is to get
/// this code whatever its share, to find out how its platform fares; it is asked only of one that would come first so.
pub fn draw(
    ways: &mut [Route<'_>],
    share: impl Fn(&AccountId) -> u8,
    is_tried: impl Fn(&AccountId) -> bool,
    lot: u32,
) {
    if ways.len() < 2 {
        return;
    }
    let mut lot = lot;
    let drawn = ways.iter().position(|route| {
        let account = &route.account.id;
        let part = u32::from(share(account)) * (LOTS / 100);
        if lot < part || is_tried(account) {
            return true;
        }
        // What is left, spread over all lots again; a share of everything has taken every lot.
        lot = (lot - part) * LOTS / (LOTS - part).max(1);
        false
    });
    let drawn = drawn.unwrap_or_else(|| {
        let shares = ways.iter().map(|route| share(&route.account.id));
        // Of equal ones the first.
        let largest = shares.enumerate().min_by_key(|(_, share)| 100 - share);
        largest.map_or(0, |(index, _)| index)
    });
    ways[..=drawn].rotate_right(1);
}

#[cfg(test)]
mod tests {
    use crate::{
        domain::{AccountId, Recipient},
        routing::{Ask, LOTS, draw, tests::administration, ways},
    };

    #[test]
    fn the_first_way_is_drawn_by_what_each_account_is_offered() {
        let mut administration = administration();
        for id in ["madrid-two", "madrid-three"] {
            let mut other = administration.accounts[0].clone();
            other.id = AccountId::parse(id).unwrap();
            administration.accounts.push(other);
        }
        let first = |shares: [u8; 3], tried: Option<&str>, lot: u32| {
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
        assert_eq!(first([100, 100, 100], None, LOTS - 1), "madrid-mn");
        assert_eq!(first([50, 100, 100], None, 4_999), "madrid-mn");
        assert_eq!(first([50, 100, 100], None, 5_000), "madrid-two");
        assert_eq!(first([0, 100, 100], None, 0), "madrid-two");
        assert_eq!(first([0, 0, 0], None, 0), "madrid-mn");
        // How often each comes first, in hundredths of all lots.
        let often = |shares: [u8; 3]| {
            let mut often = [0; 3];
            for lot in 0..LOTS {
                let drawn = first(shares, None, lot);
                let index = administration
                    .accounts
                    .iter()
                    .position(|account| account.id.as_str() == drawn);
                often[index.unwrap()] += 1;
            }
            often.map(|lots: u32| (lots + LOTS / 200) / (LOTS / 100))
        };
        assert_eq!(often([50, 50, 100]), [50, 25, 25]);
        assert_eq!(often([20, 100, 100]), [20, 80, 0]);
        // What nobody drew goes to who fares best, never to one that rests or has just come back.
        assert_eq!(often([10, 50, 0]), [10, 90, 0]);
        assert_eq!(often([0, 10, 50]), [0, 10, 90]);
        // One that is to be tried, only if nobody before it takes the code.
        assert_eq!(
            first([0, 100, 100], Some("madrid-mn"), LOTS - 1),
            "madrid-mn"
        );
        assert_eq!(
            first([100, 0, 100], Some("madrid-two"), LOTS - 1),
            "madrid-mn"
        );
    }
}
