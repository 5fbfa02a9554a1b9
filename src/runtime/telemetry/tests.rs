use std::sync::{Arc, Mutex};

use rstest::rstest;

use super::*;

/// Everything that was written to the log.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, filter: &str, colour: bool, act: impl FnOnce()) -> String {
    let written = Written::default();
    let sink = written.clone();
    let (filter, _level) = reload::Layer::new(parse(filter).unwrap());
    let subscriber = subscriber(format, filter, colour, move || sink.clone());
    tracing::subscriber::with_default(subscriber, act);
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn speak() {
    let span = tracing::info_span!("pass", deployment = "one").entered();
    tracing::info!(count = 3, "wrote");
    tracing::debug!("detail");
    span.exit();
    tracing::info!(target: "hyper", "chatter");
    tracing::warn!(target: "hyper", "trouble");
}

#[test]
fn text_names_the_span_and_the_fields() {
    let text = logged(LogFormat::Text, DEFAULT_FILTER, false, speak);
    let lines: Vec<_> = text.lines().map(|line| line.split_once("Z ").unwrap().1.trim_start()).collect();
    assert_eq!(
        lines,
        [
            "INFO pass{deployment=\"one\"}: flagsmith_operator::runtime::telemetry::tests: wrote count=3",
            "WARN hyper: trouble"
        ]
    );
}

#[rstest]
#[case(LogFormat::Text, true, true)]
#[case(LogFormat::Text, false, false)]
#[case(LogFormat::Json, true, false)]
fn colour_only_in_text_and_where_asked_for(
    #[case] format: LogFormat,
    #[case] colour: bool,
    #[case] expected: bool,
) {
    assert_eq!(logged(format, DEFAULT_FILTER, colour, speak).contains('\u{1b}'), expected);
}

#[test]
fn json_is_one_object_on_each_line() {
    let text = logged(LogFormat::Json, "info", false, speak);
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["message"], "wrote");
    assert_eq!(lines[0]["count"], 3);
    assert_eq!(lines[0]["span"]["deployment"], "one");
    assert_eq!(lines[0]["level"], "INFO");
}

#[test]
fn answers_of_the_api_server_are_never_logged() {
    let text = logged(LogFormat::Text, "trace", false, || {
        tracing::warn!(target: "kube_client::client", "{}", r#"{"data": {"password": "aHVudGVyMg=="}}"#);
        tracing::error!(target: "kube_client::client::builder", "failed with status 503");
    });
    assert!(!text.contains("aHVudGVyMg=="), "{text}");
    assert!(text.contains("failed with status 503"), "{text}");
}

#[test]
fn a_bad_filter_is_named_with_a_good_one() {
    let error = parse("flagsmith_operator=loud").unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot read the log filter \"flagsmith_operator=loud\", write for example \"info\" or \
         \"warn,flagsmith_operator=info\""
    );
}

#[test]
fn a_panic_is_logged_with_its_place_but_without_what_it_formats() {
    let text = logged(LogFormat::Text, "error", false, || {
        // The hook belongs to the whole process: other tests that panic meanwhile log into nothing.
        let before = panic::take_hook();
        panic::set_hook(Box::new(log_panic));
        let secret = String::from("postgres://u:hunter2@db");
        let formatted = panic::catch_unwind(|| panic!("cannot parse {secret}"));
        let literal = panic::catch_unwind(|| panic!("out of luck"));
        panic::set_hook(before);
        assert!(formatted.is_err() && literal.is_err());
    });
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("message withheld") && text.contains("out of luck"), "{text}");
    assert_eq!(text.matches("telemetry/tests.rs:").count(), 2, "{text}");
}

/// In the words of `follow`: what the file says counts from the next look on, and nonsense changes nothing.
#[tokio::test(start_paused = true)]
async fn the_level_follows_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("level");
    std::fs::write(&file, "warn\n").unwrap();
    let written = Written::default();
    let sink = written.clone();
    let (filter, handle) = reload::Layer::new(parse("info").unwrap());
    let _guard =
        tracing::subscriber::set_default(subscriber(LogFormat::Text, filter, false, move || sink.clone()));
    let ended = tokio_util::sync::CancellationToken::new();
    let steps = async {
        for (says, step) in
            [(None, "one"), (Some("debug"), "two"), (Some("loud"), "three"), (Some("error"), "four")]
        {
            if let Some(says) = says {
                std::fs::write(&file, says).unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_secs(25)).await;
            tracing::debug!("{step} debug");
            tracing::warn!("{step} warn");
            tracing::warn!(target: UNSAFE_TARGET, "{step} unsafe");
        }
        ended.cancel();
    };
    tokio::join!(follow(&file, Level(handle), ended.clone()), steps);
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let told: Vec<&str> = text
        .lines()
        .filter_map(|line| line.rsplit_once("tests: ").map(|(_, told)| told))
        .filter(|told| told.contains(' '))
        .collect();
    assert_eq!(told, ["one warn", "two debug", "two warn", "three debug", "three warn"], "{text}");
    assert!(text.contains("the log level stays as it is"), "{text}");
    assert!(!text.contains("unsafe"), "{text}");
}
