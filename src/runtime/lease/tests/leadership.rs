//! How long a replica leads.

use super::super::*;

fn leadership() -> Leadership {
    let sent = Sent::now();
    Leadership { until: Some(sent.at + RENEW_DEADLINE), day: sent.day.checked_add(RENEW_DEADLINE).ok() }
}

/// A machine that was suspended: its monotonic clock stood still, and the others' went on.
#[tokio::test(start_paused = true)]
async fn whoever_was_suspended_does_not_lead() {
    let noon: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
    clock::set(noon);
    let leadership = leadership();
    assert!(leadership.leads() && !leadership.is_in_doubt());
    clock::set(noon + Duration::from_secs(60));
    assert!(!leadership.leads() && leadership.is_in_doubt());
    clock::set(noon - Duration::from_hours(1));
    assert!(leadership.leads(), "a clock that is set back says nothing");
}

#[tokio::test(start_paused = true)]
async fn leadership_is_over_when_it_was_not_renewed_or_was_lost() {
    let begun = Instant::now();
    let (sender, leading) = watch::channel(leadership());
    Leadership::over(leading.clone()).await;
    assert_eq!(begun.elapsed(), RENEW_DEADLINE);

    let begun = Instant::now();
    sender.send_replace(leadership());
    let (renewed, ()) = tokio::join!(Leadership::over(leading.clone()), async {
        sleep_until(begun + RENEW_PERIOD).await;
        sender.send_if_modified(|known| {
            *known = leadership();
            false
        });
    });
    assert_eq!((renewed, begun.elapsed()), ((), RENEW_PERIOD + RENEW_DEADLINE), "a renewal wakes nobody");

    sender.send_replace(leadership());
    let begun = Instant::now();
    tokio::join!(Leadership::over(leading.clone()), async {
        sender.send_replace(Leadership::default());
    });
    assert_eq!(begun.elapsed(), Duration::ZERO);

    sender.send_replace(leadership());
    drop(sender);
    let begun = Instant::now();
    Leadership::over(leading).await;
    assert_eq!(begun.elapsed(), RENEW_DEADLINE, "nobody is there to renew it");
}
