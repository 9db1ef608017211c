//! The messages of each task, in our own words after the shapes of the papers (sections 1.5 and 2.5).

use genome_kernels::llm::is_quotation;
use genome_schemas::{KeyHasher, Message};
use serde::Deserialize;
use serde_json::Value;

use super::dimension::{Dimension, RESPONSE_TAG};
use super::task::Task;
use crate::synthesis::EventView;

/// What an example is made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// Platform of the person.
    pub(super) platform: String,
    /// The event, for tasks about one.
    pub(super) event: Option<EventView>,
    /// Fields of the person's kept persona, if there is one.
    pub(super) persona: Option<Value>,
    /// Fields of the kept answer the example is made from.
    pub(super) fields: Option<Value>,
    /// The person's own words that answer may quote.
    pub(super) evidence: Option<String>,
}

/// One example before it has a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) dimension: Option<&'static str>,
    pub(super) messages: Vec<Message>,
    pub(super) reference: Option<String>,
}

/// The examples of `task` from `parts`; none where a part is missing.
pub(super) fn drafts(task: Task, parts: &Parts) -> Vec<Draft> {
    match task {
        Task::ProfileGeneration => profile(parts).into_iter().collect(),
        Task::Reply => reply(parts).into_iter().collect(),
        Task::InnerThought => thought(parts).into_iter().collect(),
        Task::LatentState => Dimension::ALL.iter().filter_map(|d| state(*d, parts)).collect(),
        Task::RlState => Dimension::ALL.iter().filter_map(|d| rl_state(*d, parts)).collect(),
        Task::RlResponse => rl_response(parts).into_iter().collect(),
    }
}

/// Lists of `{quote, label}` by aspect, as recipe `persona` gives them.
#[derive(Deserialize)]
struct Aspect(Vec<serde_json::Map<String, Value>>);

/// A persona as lines of text: each statement with the words that show it. Statements that quote `target` are left out: what
/// is asked for may not be told.
pub(super) fn persona_text(fields: &Value, target: &str) -> String {
    let Some(aspects) = fields.as_object() else { return String::new() };
    let mut lines = Vec::new();
    for (aspect, entries) in aspects {
        let Ok(Aspect(entries)) = serde_json::from_value(entries.clone()) else { continue };
        let heading = lines.len();
        lines.push(format!("{}:", capitalised(aspect)));
        for entry in entries {
            let word = |wanted: bool| {
                entry.iter().find_map(|(k, v)| if (k == "quote") == wanted { v.as_str() } else { None })
            };
            match (word(false), word(true)) {
                (_, Some(quote)) if is_quotation(target, quote) => {}
                (Some(label), Some(quote)) => lines.push(format!("- {label} (\"{quote}\")")),
                (Some(label), None) => lines.push(format!("- {label}")),
                _ => {}
            }
        }
        if lines.len() == heading + 1 {
            lines.pop();
        }
    }
    lines.join("\n")
}

/// A persona that lost each aspect, and each statement of those left, with a probability; a hash of the seed, the author and
/// the place decides.
pub(super) fn thin(persona: &Value, author: &str, share: f64, seed: u64) -> Value {
    let stays = |place: &str| {
        let key = KeyHasher::new("genome persona dropout")
            .part(seed.to_le_bytes())
            .part(author)
            .part(place)
            .finish();
        // 53 bits fill the mantissa of a double.
        (key.seed() >> 11) as f64 / (1_u64 << 53) as f64 >= share
    };
    let aspects = persona.as_object().into_iter().flatten().filter(|(aspect, _)| stays(aspect));
    let thinned = aspects.map(|(aspect, statements)| {
        let statements = match statements.as_array() {
            Some(statements) => {
                let numbered = statements.iter().enumerate();
                let left = numbered.filter(|(at, _)| stays(&format!("{aspect} {at}")));
                left.map(|(_, statement)| statement.clone()).collect()
            }
            None => statements.clone(),
        };
        (aspect.clone(), statements)
    });
    Value::Object(thinned.collect())
}

fn profile(parts: &Parts) -> Option<Draft> {
    let ask = format!(
        "These are texts that one person wrote on {}:\n\n{}\n\nDescribe the person: interests, values and way of \
         communicating. Quote the words that show each.",
        platform_name(&parts.platform),
        parts.evidence.as_deref()?
    );
    let answer = persona_text(parts.fields.as_ref()?, "");
    (!answer.is_empty()).then(|| supervised(None, vec![user(ask)], answer))
}

fn reply(parts: &Parts) -> Option<Draft> {
    let event = answered(parts)?;
    let ask = format!("{}\n\nWrite HUMAN's {}.", scene(event), event.kind);
    Some(supervised(None, vec![system(parts, "", &event.own), user(ask)], event.own.clone()))
}

fn thought(parts: &Parts) -> Option<Draft> {
    let event = parts.event.as_ref()?;
    let fields = parts.fields.as_ref()?;
    let said = format!("HUMAN's {}:\n{}", event.kind, event.own);
    let seen = if event.context.is_empty() { said } else { format!("{}\n\n{said}", scene(event)) };
    let ask =
        format!("{seen}\n\nWhat goes through HUMAN's mind while writing this? Answer in the first person.");
    let answer = fields.get("thought").and_then(Value::as_str)?.to_owned();
    Some(supervised(None, vec![system(parts, "", ""), user(ask)], answer))
}

fn state(dimension: Dimension, parts: &Parts) -> Option<Draft> {
    let label = dimension.label(parts.fields.as_ref()?)?;
    let tag = dimension.as_str();
    let messages = state_prompt(dimension, parts)?;
    Some(supervised(Some(tag), messages, format!("<{tag}>{label}</{tag}>")))
}

fn rl_state(dimension: Dimension, parts: &Parts) -> Option<Draft> {
    let messages = state_prompt(dimension, parts)?;
    Some(Draft {
        dimension: Some(dimension.as_str()),
        messages,
        reference: Some(answered(parts)?.own.clone()),
    })
}

fn rl_response(parts: &Parts) -> Option<Draft> {
    let event = answered(parts)?;
    let task = format!(
        "Write HUMAN's {} inside <{RESPONSE_TAG}> and </{RESPONSE_TAG}>. Write nothing outside the tags.",
        event.kind
    );
    Some(Draft {
        dimension: Some(RESPONSE_TAG),
        messages: vec![system(parts, &task, &event.own), user(scene(event))],
        reference: Some(event.own.clone()),
    })
}

fn state_prompt(dimension: Dimension, parts: &Parts) -> Option<Vec<Message>> {
    let event = answered(parts)?;
    let tag = dimension.as_str();
    let task = format!(
        "Think of the {} that HUMAN is about to write. Give {}. Use at most 15 words, inside <{tag}> and </{tag}>. \
         Write nothing outside the tags.",
        event.kind,
        dimension.definition()
    );
    Some(vec![system(parts, &task, &event.own), user(scene(event))])
}

/// The event, if it answers something.
fn answered(parts: &Parts) -> Option<&EventView> {
    parts.event.as_ref().filter(|event| !event.context.is_empty() && !event.own.is_empty())
}

/// What the person answers, root first.
fn scene(event: &EventView) -> String {
    let turns = event.context.iter().map(|turn| {
        let speaker = match turn.role.as_str() {
            "item" => "Product".to_owned(),
            role => match &turn.name {
                Some(name) => format!("{} by {}", capitalised(role), short_name(name)),
                None => capitalised(role),
            },
        };
        format!("{speaker}:\n{}", turn.content)
    });
    let scene = turns.collect::<Vec<_>>().join("\n\n");
    match event.rating {
        Some(stars) => format!("{scene}\n\nHUMAN gives it {stars} of 5 stars."),
        None => scene,
    }
}

/// The role of the person: who HUMAN is, how people are, and what to write. `target` is what is asked for, where that is
/// the person's own text.
fn system(parts: &Parts, task: &str, target: &str) -> Message {
    let persona = parts.persona.as_ref().map(|fields| persona_text(fields, target));
    let persona = persona.filter(|text| !text.is_empty());
    let persona = persona.unwrap_or_else(|| "Nothing is known about HUMAN yet.".to_owned());
    let mut content = format!(
        "You are HUMAN, a real person who writes on {}.\n\nWhat is known about HUMAN:\n{persona}\n\nBe natural. \
         People keep some things to themselves, may be unsure or in two minds, and change their values slowly.",
        platform_name(&parts.platform)
    );
    if !task.is_empty() {
        content.push_str("\n\n");
        content.push_str(task);
    }
    Message { role: "system".to_owned(), name: None, content, learn: false }
}

fn user(content: String) -> Message {
    Message { role: "user".to_owned(), name: None, content, learn: false }
}

fn supervised(dimension: Option<&'static str>, mut messages: Vec<Message>, answer: String) -> Draft {
    messages.push(Message { role: "assistant".to_owned(), name: None, content: answer, learn: true });
    Draft { dimension, messages, reference: None }
}

fn platform_name(platform: &str) -> String {
    capitalised(platform)
}

/// Pseudonyms are 32 digits; eight tell speakers of one scene apart.
fn short_name(name: &str) -> String {
    let short: String = name.chars().take(8).collect();
    format!("user_{short}")
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Characters over all messages.
pub(super) fn n_chars(messages: &[Message]) -> i64 {
    messages.iter().map(|m| i64::try_from(m.content.chars().count()).unwrap_or(i64::MAX)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthesis::ContextView;

    fn parts() -> Parts {
        Parts {
            platform: "reddit".into(),
            event: Some(EventView {
                date: "2023-05-01".into(),
                kind: "comment".into(),
                context: vec![ContextView {
                    role: "post".into(),
                    name: Some("abcdef0123456789".into()),
                    content: "Should I sell my bike?".into(),
                }],
                own: "Never sell a steel frame.".into(),
                text: None,
                rating: None,
            }),
            persona: Some(
                serde_json::json!({"interests": [{"quote": "my steel frame", "interest": "bikes"}]}),
            ),
            fields: Some(
                serde_json::json!({"thought": "I regret selling mine.", "goal": "advise the poster"}),
            ),
            evidence: Some("Never sell a steel frame.".into()),
        }
    }

    #[test]
    fn supervised_rows_learn_the_last_message_only() {
        for task in [Task::Reply, Task::InnerThought, Task::LatentState] {
            for draft in drafts(task, &parts()) {
                let learned: Vec<bool> = draft.messages.iter().map(|m| m.learn).collect();
                assert_eq!(learned, [false, false, true], "{task:?}");
                assert_eq!(draft.reference, None);
            }
        }
    }

    #[test]
    fn rl_rows_ask_six_states_and_a_response_and_never_show_the_reply() {
        let states = drafts(Task::RlState, &parts());
        assert_eq!(states.len(), 6);
        for draft in states.iter().chain(&drafts(Task::RlResponse, &parts())) {
            assert_eq!(draft.reference.as_deref(), Some("Never sell a steel frame."));
            assert!(draft.messages.iter().all(|m| !m.learn && !m.content.contains("steel frame.")));
            assert!(draft.messages[0].content.contains("my steel frame"), "persona is shown");
            assert!(draft.messages[1].content.contains("Post by user_abcdef01"));
        }
    }

    #[test]
    fn a_persona_does_not_quote_what_is_asked_for() {
        let mut parts = parts();
        parts.persona = Some(serde_json::json!({
            "interests": [{"quote": "sell a steel frame.", "interest": "frames"}, {"quote": "my dog", "interest": "dogs"}],
            "values": [{"quote": "Never sell", "value": "loyalty"}],
        }));
        let shown = &drafts(Task::Reply, &parts)[0].messages[0].content;
        assert!(
            shown.contains("- dogs (\"my dog\")") && !shown.contains("frames") && !shown.contains("Values"),
            "{shown}"
        );
    }

    #[test]
    fn a_state_without_a_label_makes_no_row() {
        let drafts = drafts(Task::LatentState, &parts());
        assert_eq!(drafts.len(), 1);
        assert_eq!(drafts[0].dimension, Some("goal"));
        assert_eq!(drafts[0].messages[2].content, "<goal>advise the poster</goal>");
    }

    #[test]
    fn without_context_there_is_nothing_to_answer() {
        let mut parts = parts();
        if let Some(event) = &mut parts.event {
            event.context.clear();
        }
        assert!(drafts(Task::Reply, &parts).is_empty());
        assert!(drafts(Task::RlState, &parts).is_empty());
        assert_eq!(drafts(Task::InnerThought, &parts).len(), 1);
    }
}
