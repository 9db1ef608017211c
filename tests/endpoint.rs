//! Models behind an HTTP endpoint: what is asked, what comes back, what is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use genome::endpoint::{Endpoint, EndpointConfig, EndpointHandle};
use genome_kernels::llm::{AnswerForm, ChatMessage, Completion, FinishReason, Grammar, Request, Sampling};
use genome_stages::functions::Answerer as _;
use serde_json::{Value, json};

use crate::support::configs;
use crate::support::files;
use crate::support::http::{said, serve};
use crate::support::project::Project;
use crate::support::rows::read_parquet;

fn endpoint(url: &str, change: impl Fn(&mut EndpointConfig)) -> Arc<Endpoint> {
    let mut config: EndpointConfig =
        serde_json::from_value(json!({"url": url, "model": "there/big", "concurrency": 4})).unwrap();
    change(&mut config);
    assert_eq!(config.problems(), Vec::<String>::new());
    Arc::new(Endpoint::new(&config).unwrap())
}

fn form() -> AnswerForm {
    serde_json::from_value(json!({"fields": [{"name": "why", "kind": {"text": {"max_words": 9}}}]})).unwrap()
}

fn ask(endpoint: &Arc<Endpoint>, prompts: &[&str]) -> Vec<Completion> {
    begin(endpoint, prompts).recv_timeout(Duration::from_mins(1)).unwrap()
}

/// Asks, and does not wait for the answers.
fn begin(endpoint: &Arc<Endpoint>, prompts: &[&str]) -> Receiver<Vec<Completion>> {
    let request = |(number, prompt): (u8, &&str)| Request {
        key: [number; 16],
        messages: vec![ChatMessage::new("user", *prompt)],
        answer_prefix: String::new(),
        grammar: Grammar::Free,
    };
    let requests = (0_u8..).zip(prompts).map(request).collect();
    let (send, receive) = std::sync::mpsc::channel();
    let sampling = Sampling { max_tokens: 40, ..Sampling::default() };
    let then = Box::new(move |completions| send.send(completions).unwrap());
    EndpointHandle(Arc::clone(endpoint)).ask(requests, &form(), &sampling, then);
    receive
}

fn prompt(body: &Value) -> &str {
    body["messages"][0]["content"].as_str().unwrap()
}

#[test]
fn answers_come_in_the_order_of_the_questions_and_are_bound_by_a_schema() {
    let (url, _) = serve(|_, body| {
        assert_eq!(body["model"], "there/big");
        assert_eq!(body["max_tokens"], 40);
        let schema = &body["response_format"]["json_schema"]["schema"];
        assert_eq!(schema["required"], json!(["why"]));
        // The first takes longest.
        std::thread::sleep(Duration::from_millis(if prompt(body) == "a" { 200 } else { 0 }));
        (200, "", said(&format!(" {} {} ", prompt(body), body["seed"]), "stop"))
    });
    let endpoint = endpoint(&url, |_| {});
    let completions = ask(&endpoint, &["a", "b", "c", "d", "e", "f"]);
    let texts: Vec<&str> = completions.iter().map(|completion| completion.text.as_str()).collect();
    let seeds = (0_u64..6).map(|n| (n * 0x0101_0101) & 0x7fff_ffff);
    let expected: Vec<String> = "abcdef".chars().zip(seeds).map(|(c, seed)| format!("{c} {seed}")).collect();
    assert_eq!(texts, expected);
    assert!(completions.iter().all(|c| c.finish == FinishReason::Stop && c.prompt_tokens == 7));
    let progress = endpoint.progress();
    assert_eq!((progress.requests, progress.done, progress.completion_tokens), (6, 6, 18));
}

/// As the parts of a recipe are.
#[test]
fn what_is_asked_side_by_side_shares_the_concurrency() {
    let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&under_way), Arc::clone(&most));
    let (url, _) = serve(move |_, _| {
        peak.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
        std::thread::sleep(Duration::from_millis(40));
        now.fetch_sub(1, Relaxed);
        (200, "", said("x", "stop"))
    });
    let endpoint = endpoint(&url, |config| config.concurrency = 3);
    let asked: Vec<_> = (0..4).map(|_| begin(&endpoint, &["a", "b", "c", "d"])).collect();
    for receive in asked {
        assert_eq!(receive.recv_timeout(Duration::from_mins(1)).unwrap().len(), 4);
    }
    assert_eq!(most.load(Relaxed), 3);
}

#[test]
fn servers_are_bound_in_their_own_ways() {
    let (url, _) = serve(|_, body| (200, "", said(&body["response_format"]["type"].to_string(), "stop")));
    let answer = |format: &str| {
        let config = json!({"url": url, "model": "m", "response_format": format});
        let endpoint = Arc::new(Endpoint::new(&serde_json::from_value(config).unwrap()).unwrap());
        ask(&endpoint, &["a"]).remove(0).text
    };
    assert_eq!(
        ["json_schema", "json_object", "none"].map(answer),
        ["\"json_schema\"", "\"json_object\"", "null"]
    );
}

#[test]
fn what_passes_is_tried_again_and_what_lasts_is_told() {
    let (url, count) = serve(|number, body| match prompt(body) {
        "busy" if number < 2 => (429, "retry-after: 0\r\n", "slow down".to_owned()),
        "cut" => (200, "", said("{", "length")),
        "long" => {
            (400, "", json!({"error": {"message": "This model's maximum context length is 8"}}).to_string())
        }
        "wrong" => (404, "", json!({"error": "there is no model `there/big`"}).to_string()),
        _ => (200, "", said("{}", "stop")),
    });
    let one = |prompt: &str| {
        let endpoint = endpoint(&url, |config| config.attempts = 3);
        ask(&endpoint, &[prompt]).remove(0)
    };
    assert_eq!(one("busy").finish, FinishReason::Stop);
    assert_eq!(count.load(Relaxed), 3);
    assert_eq!(one("cut").finish, FinishReason::Length);
    assert_eq!(one("long").finish, FinishReason::ContextTooLong);
    let told = FinishReason::Error("status 404: there is no model `there/big`".to_owned());
    assert_eq!(one("wrong").finish, told);
    assert_eq!(count.load(Relaxed), 6, "what lasts is asked once");
}

#[test]
fn in_the_end_it_gives_up_one_row_and_not_the_others() {
    let (url, _) = serve(|_, body| match prompt(body) {
        "broken" => (503, "retry-after: 0\r\n", "<html>no</html>".to_owned()),
        "garbled" => (200, "", "<html>".to_owned()),
        _ => (200, "", said("{}", "stop")),
    });
    let endpoint = endpoint(&url, |config| config.attempts = 2);
    let finishes: Vec<FinishReason> =
        ask(&endpoint, &["good", "broken", "garbled", "good"]).into_iter().map(|c| c.finish).collect();
    let failed = |what: &str| FinishReason::Error(format!("2 attempts failed, the last: {what}"));
    let expected = [
        FinishReason::Stop,
        failed("status 503: <html>no</html>"),
        failed("the response is no JSON: <html>"),
        FinishReason::Stop,
    ];
    assert_eq!(finishes, expected);
    let nobody = self::endpoint("http://127.0.0.1:1/v1", |config| config.attempts = 1);
    let FinishReason::Error(reason) = ask(&nobody, &["a"]).remove(0).finish else { panic!() };
    assert!(reason.starts_with("1 attempts failed, the last: "), "{reason}");
}

#[test]
fn what_a_row_asks_for_is_not_the_fault_of_the_server() {
    for (status, rows, is_for_all) in [(400, 1, false), (400, 8, true), (401, 1, true), (503, 1, true)] {
        let (url, _) = serve(move |_, _| (status, "retry-after: 0\r\n", "no".to_owned()));
        let endpoint = endpoint(&url, |config| config.attempts = 1);
        let before = endpoint.failures();
        ask(&endpoint, &vec!["a"; rows]);
        let all = endpoint.failures().all_of(rows as u64, &before).is_some();
        assert_eq!(all, is_for_all, "{rows} rows with status {status}");
    }
    let (url, _) = serve(|_, _| (200, "", said("", "content_filter")));
    let endpoint = endpoint(&url, |_| {});
    let before = endpoint.failures();
    ask(&endpoint, &["a"; 9]);
    assert!(endpoint.failures().all_of(9, &before).is_none());
}

#[test]
fn a_message_without_a_text_is_the_answer_to_its_row() {
    let (url, count) = serve(|_, body| {
        let (refusal, finish) = match prompt(body) {
            "refused" => (json!(" I will not. "), "stop"),
            "thinking" => (Value::Null, "length"),
            "filtered" => (Value::Null, "content_filter"),
            _ => (Value::Null, "tool_calls"),
        };
        let message = json!({"role": "assistant", "content": null, "refusal": refusal});
        let usage = json!({"prompt_tokens": 7, "completion_tokens": 40});
        let choices = json!([{"message": message, "finish_reason": finish}]);
        (200, "", json!({"choices": choices, "usage": usage}).to_string())
    });
    let endpoint = endpoint(&url, |_| {});
    let before = endpoint.failures();
    let completions = ask(&endpoint, &["refused", "thinking", "filtered", "silent"]);
    let told = |at: usize| (completions[at].text.as_str(), &completions[at].finish);
    assert_eq!(told(0), ("I will not.", &FinishReason::Stop));
    assert_eq!(told(1), ("", &FinishReason::Length));
    assert_eq!((completions[1].prompt_tokens, completions[1].completion_tokens), (7, 40));
    for (at, expected) in [(2, "the server's content filter stopped it"), (3, "the response has no text: ")] {
        let (text, FinishReason::Error(reason)) = told(at) else { panic!("{:?}", told(at)) };
        assert!(text.is_empty() && reason.starts_with(expected), "{reason}");
    }
    assert_eq!(count.load(Relaxed), 4, "none is asked twice");
    // One may be its row's; where all answer so, it is the server.
    assert!(endpoint.failures().all_of(4, &before).is_none());
    for silence in ["silent", "thinking"] {
        let before = endpoint.failures();
        ask(&endpoint, &[silence; 9]);
        assert!(endpoint.failures().all_of(9, &before).is_some(), "{silence}");
    }
}

#[test]
fn cancelled_requests_are_not_asked() {
    let (url, count) = serve(|_, _| (200, "", said("{}", "stop")));
    let endpoint = endpoint(&url, |_| {});
    endpoint.cancel();
    assert!(ask(&endpoint, &["a", "b"]).iter().all(|c| c.finish == FinishReason::Cancelled));
    assert_eq!(count.load(Relaxed), 0);
}

#[test]
fn a_rate_spreads_requests() {
    let (url, _) = serve(|_, _| (200, "", said("{}", "stop")));
    // One every 100 ms.
    let endpoint = endpoint(&url, |config| config.requests_per_minute = Some(600));
    let begun = Instant::now();
    ask(&endpoint, &["a", "b", "c", "d"]);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

/// The least that a schema allows.
fn least(schema: &Value) -> Value {
    if let Some(first) = schema["anyOf"].get(0) {
        return least(first);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let members = schema["properties"].as_object().unwrap().iter();
            members.map(|(name, schema)| (name.clone(), least(schema))).collect()
        }
        Some("array") => (0..schema["minItems"].as_u64().unwrap()).map(|_| least(&schema["items"])).collect(),
        Some("integer") => schema["minimum"].clone(),
        _ => schema["enum"].get(0).cloned().unwrap_or_else(|| "Some words of a server.".into()),
    }
}

#[test]
fn a_run_asks_a_server_once_and_keeps_nothing_of_a_dead_one() {
    let (url, count) = serve(|_, body| {
        let answer = least(&body["response_format"]["json_schema"]["schema"]);
        (200, "", said(&answer.to_string(), "stop"))
    });
    let endpoint = |url: &str| format!("[endpoints.there]\nurl = \"{url}\"\nmodel = \"big\"\nattempts = 1\n");
    let config = configs::TINY.split("[models.toy]").next().unwrap().replace("\"toy\"", "\"there\"");
    let config = config.replace("part_rows = 1", "part_rows = 4");

    let project = Project::new(&(config.clone() + &endpoint("http://127.0.0.1:1/v1")));
    project.write("dump.jsonl", configs::tiny_dump());
    project.genome(&["check", "genome.toml"]).succeeded();
    let failed = project.genome(&["run", "genome.toml"]).failed();
    assert!(
        failed.stderr.contains("all 2 answers of this part failed, the last with: 1 attempts failed"),
        "{}",
        failed.stderr
    );

    project.set_config(&(config + &endpoint(&url)));
    project.genome(&["run", "genome.toml"]).succeeded();
    let asked = count.load(Relaxed);
    let thoughts: Vec<_> = files(&project.path("store/completions"), ".parquet")
        .iter()
        .filter(|path| {
            path.to_string_lossy().contains("synthesize-inner_thought")
                && path.to_string_lossy().contains("/part-")
        })
        .flat_map(|path| read_parquet(path))
        .collect();
    assert!(!thoughts.is_empty());
    for row in &thoughts {
        assert_eq!(
            (&row["model"], &row["prompt_tokens"], &row["finish_reason"]),
            (&"there".into(), &7.into(), &"stop".into())
        );
    }
    project.genome(&["run", "genome.toml"]).succeeded();
    assert_eq!(count.load(Relaxed), asked, "nothing is asked twice");
    let card = std::fs::read_to_string(project.path("shards/README.md")).unwrap();
    assert!(card.contains("`big`, behind an endpoint") && !card.contains("127.0.0.1"), "{card}");
}
