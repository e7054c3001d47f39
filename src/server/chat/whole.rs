//! An answer in one piece.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::choice::{Choice, Draft, Order, Shown, Step};
use crate::chat::completion::Gatherer;
use crate::upstream::{Failed, Places};

/// Reads all choices to their ends, side by side. Dropping the future cancels the calls.
pub(super) async fn gather(
    order: &Arc<Order>,
    draft: &Draft,
    places: &Arc<Places>,
) -> Result<Vec<(Choice, Gatherer)>, Failed> {
    let count = order.plan.choices;
    let choice = |_| (Choice::new(order, draft, places), Gatherer::default());
    let mut choices: Vec<_> = (0..count).map(choice).collect();
    poll_fn(|cx| {
        let mut is_pending = false;
        for (choice, gatherer) in &mut choices {
            while !choice.has_ended() {
                match choice.poll_step(cx, Shown::AtTheEnd, gatherer) {
                    Poll::Ready(Ok(Step::Read(_))) => {}
                    Poll::Ready(Ok(Step::Restarted)) => *gatherer = Gatherer::default(),
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                    Poll::Pending => {
                        is_pending = true;
                        break;
                    }
                }
            }
        }
        if is_pending { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await?;
    Ok(choices)
}
