//! A value of a config by its path, and the config with another value there.

use anyhow::{Result, anyhow};
use genome_stages::StageConfig;
use genome_stages::filter::{ContentFilter, Rule, RuleScope};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::Project;
use crate::error::Hinted;

/// What a path leads to if the config does not name it.
const NOT_SET: &str = "not set";

/// Why some rules cannot be taken away.
const STAYS: &str = "the preset has this rule on some platforms, where it can be changed but not taken away";

/// One changed value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its path, as it was given.
    pub path: String,
    /// The stage that has it.
    pub stage: String,
    /// The value in the config.
    pub now: String,
    /// The value to try.
    pub then: String,
}

/// A config, and what it would be with other values.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The config as it is.
    pub now: Project,
    /// The config with the changes.
    pub then: Project,
    /// The changes.
    pub settings: Vec<Setting>,
}

/// The config with changes of the form `path=value`. A path begins with the name of a stage, or with its number and its
/// name; `rules` and other lists need not be named: `content_filter.min_chars`, `3.content_filter.language.min_chars`.
///
/// # Errors
/// A path leads nowhere or to several places, or a value cannot stand there.
pub fn changed(project: &Project, changes: &[String]) -> Result<Changed> {
    let mut then = project.clone();
    let mut settings = Vec::new();
    for change in changes {
        let (path, value) = change.split_once('=').ok_or_else(|| {
            Hinted::new(
                format!("`{change}` is no change"),
                "give the path of a value and another value, such as content_filter.min_chars=30",
            )
        })?;
        settings.push(apply(&mut then, path.trim(), value.trim())?);
    }
    let problems = then.problems()?;
    if problems.is_empty() {
        return Ok(Changed { now: project.clone(), then, settings });
    }
    Err(anyhow!("the changed config is wrong: {}", problems.join("\n  also: ")))
}

/// Indices of the stages over events before the first that calls a model.
pub(super) fn event_stages(project: &Project) -> Vec<usize> {
    let stages = project.config.stages.iter().enumerate();
    let before = stages.take_while(|(_, config)| config.stage().model_stage().is_none());
    let over_events = before.filter(|(_, config)| {
        let card = config.stage().card();
        card.refines() && (card.input)().name == "events"
    });
    over_events.map(|(index, _)| index).collect()
}

/// Whether a stage asks of a record what records of other authors there are, so that a sample of authors misleads it:
/// it would find hardly any post answered and any item reviewed twice. Repeats are merely seen less often.
pub(super) fn looks_across_authors(config: &StageConfig) -> bool {
    matches!(config, StageConfig::KeptThreads(_) | StageConfig::KCore(_))
}

fn apply(project: &mut Project, path: &str, value: &str) -> Result<Setting> {
    let parts: Vec<&str> = path.split('.').collect();
    let number = parts[0].parse::<usize>().ok();
    let parts = if number.is_some() { &parts[1..] } else { &parts[..] };
    let new = New::parse(value);
    let mut found: Vec<(usize, Candidate, StageConfig)> = Vec::new();
    let mut refused = None;
    for index in event_stages(project) {
        let config = &project.config.stages[index];
        if number.is_some_and(|number| number != index + 1)
            || parts.first() != Some(&config.stage().card().name)
        {
            continue;
        }
        for mut candidate in candidates(&explicit(config), parts, &new) {
            match serde_json::from_value::<StageConfig>(candidate.node.clone()) {
                Ok(stage) if matches!(new, New::Off) && has_rule(&stage, parts) => {
                    refused = refused.or(Some(STAYS.to_owned()));
                }
                Ok(stage) => {
                    // A preset may have what stands in no list of rules, with several limits.
                    if candidate.old == NOT_SET
                        && let Some(there) = candidates(&shown(config), parts, &new).into_iter().next()
                    {
                        candidate.old = there.old;
                    }
                    found.push((index, candidate, stage));
                    break;
                }
                Err(error) => refused = refused.or(Some(error.to_string())),
            }
        }
    }
    // A value that is there goes before one that would be added.
    if found.iter().any(|(_, candidate, _)| candidate.old != NOT_SET) {
        found.retain(|(_, candidate, _)| candidate.old != NOT_SET);
    }
    match found.len() {
        1 => {}
        0 => return Err(no_such_value(project, path, refused).into()),
        _ => {
            let paths: Vec<String> =
                found.iter().map(|(index, ..)| format!("{}.{}", index + 1, parts.join("."))).collect();
            return Err(Hinted::new(
                format!("several stages have `{path}`"),
                format!("say which one by its number: {}", paths.join(", ")),
            )
            .into());
        }
    }
    let (index, candidate, stage) = found.remove(0);
    let name = stage.stage().card().name.to_owned();
    project.config.stages[index] = stage;
    Ok(Setting { path: path.to_owned(), stage: name, now: candidate.old, then: value.to_owned() })
}

fn no_such_value(project: &Project, path: &str, refused: Option<String>) -> Hinted {
    let stages = &project.config.stages;
    let first_model = stages.iter().find(|config| config.stage().model_stage().is_some());
    let first_model = first_model.map(|config| config.stage().card().name);
    let limit = first_model.map_or_else(String::new, |name| format!(" before the first `{name}`"));
    let message = match refused {
        Some(reason) => format!("`{path}` cannot have this value: {reason}"),
        None => format!("`{path}` is no value of a stage over events{limit}"),
    };
    let mut values = Vec::new();
    for index in event_stages(project) {
        values_of("", &shown(&stages[index]), &mut values);
    }
    values.dedup();
    Hinted::new(message, format!("values are:\n  {}", values.join("\n  ")))
}

/// A value to be set, or a rule to be taken out or added.
enum New {
    Value(Value),
    Off,
    On,
}

impl New {
    fn parse(text: &str) -> Self {
        match text {
            "off" => Self::Off,
            "on" => Self::On,
            _ => {
                let parsed = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
                let value = parsed.and_then(|mut table| serde_json::to_value(table.remove("value")?).ok());
                Self::Value(value.unwrap_or_else(|| Value::String(text.to_owned())))
            }
        }
    }
}

/// A node with a change in it, and what was there before.
struct Candidate {
    node: Value,
    old: String,
}

/// Ways to make a change somewhere below a node, best first. Which of them are configs is for others to say.
fn candidates(node: &Value, path: &[&str], new: &New) -> Vec<Candidate> {
    let Some((name, rest)) = path.split_first() else {
        return match new {
            New::Value(value) => vec![Candidate { node: value.clone(), old: node.to_string() }],
            New::Off | New::On => Vec::new(),
        };
    };
    match node {
        Value::Object(members) => {
            let mut ways = Vec::new();
            if let Some(member) = members.get(*name).filter(|member| !member.is_null()) {
                ways.extend(candidates(member, rest, new).into_iter().map(|way| with(members, name, way)));
            }
            for (list, items) in members.iter().filter_map(|(name, v)| Some((name, v.as_array()?))) {
                let changed = in_list(items, path, new);
                ways.extend(changed.into_iter().map(|way| with(members, list, way)));
            }
            if let (false, New::Value(value)) = (members.contains_key(*name), new) {
                let added = Candidate { node: nested(rest, value.clone()), old: NOT_SET.to_owned() };
                ways.push(with(members, name, added));
            }
            ways
        }
        _ => Vec::new(),
    }
}

fn with(members: &Map<String, Value>, name: &str, way: Candidate) -> Candidate {
    let mut members = members.clone();
    members.insert(name.to_owned(), way.node);
    Candidate { node: Value::Object(members), old: way.old }
}

/// The change in a list whose items are named: `"deleted"`, `{ min_chars = 180 }`. Every item of the name is changed.
fn in_list(items: &[Value], path: &[&str], new: &New) -> Vec<Candidate> {
    let [name, rest @ ..] = path else { return Vec::new() };
    let is_named = |item: &Value| match item {
        Value::String(text) => text == name,
        Value::Object(members) => members.len() == 1 && members.contains_key(*name),
        _ => false,
    };
    let mut changed = items.to_vec();
    let named: Vec<&Value> = items.iter().filter(|item| is_named(item)).collect();
    if named.is_empty() {
        changed.push(match new {
            New::Value(value) => nested(path, value.clone()),
            New::On if rest.is_empty() => Value::String((*name).to_owned()),
            New::On | New::Off => return Vec::new(),
        });
        return vec![Candidate { node: Value::Array(changed), old: NOT_SET.to_owned() }];
    }
    let mut old: Vec<String> = Vec::new();
    if matches!(new, New::Off) && rest.is_empty() {
        old.extend(named.iter().map(|item| item.get(*name).map_or("on".to_owned(), Value::to_string)));
        changed.retain(|item| !is_named(item));
    } else {
        for item in changed.iter_mut().filter(|item| is_named(item)) {
            let Some(member) = item.get(*name) else { return Vec::new() };
            let Some(way) = candidates(member, rest, new).into_iter().next() else { return Vec::new() };
            if !old.contains(&way.old) {
                old.push(way.old);
            }
            *item = nested(&[name], way.node);
        }
    }
    old.dedup();
    vec![Candidate { node: Value::Array(changed), old: old.join(", ") }]
}

/// `{ a = { b = value } }` for the path `a.b`.
fn nested(path: &[&str], value: Value) -> Value {
    path.iter().rev().fold(value, |value, name| Value::Object(Map::from_iter([((*name).to_owned(), value)])))
}

/// Whether a content filter has the rule that a path leads to.
fn has_rule(config: &StageConfig, path: &[&str]) -> bool {
    let StageConfig::ContentFilter(filter) = config else { return false };
    let groups = filter.groups();
    groups.iter().flat_map(|(_, rules)| rules).any(|rule| path.last() == Some(&rule.name()))
}

/// A stage's config with everything that it stands for: a preset that holds everywhere is its rules. One with rules for each
/// platform stays, with those that it has once, or everywhere alike, beside it; that changes nothing.
fn explicit(config: &StageConfig) -> Value {
    let mut value = serde_json::to_value(config).unwrap_or_default();
    if let StageConfig::ContentFilter(filter) = config
        && let Some(members) = value.get_mut("content_filter").and_then(Value::as_object_mut)
    {
        let rules = match &filter.groups()[..] {
            [(scope, rules)] if *scope == RuleScope::default() => {
                members.remove("preset");
                rules.clone()
            }
            groups => beside(filter, groups),
        };
        members.insert("rules".to_owned(), serde_json::to_value(rules).unwrap_or_default());
    }
    value
}

/// The filter's own rules, and those of its preset that can be named beside it without changing anything: a rule takes the
/// place of its kind wherever the preset has it.
fn beside(filter: &ContentFilter, groups: &[(RuleScope, Vec<Rule>)]) -> Vec<Rule> {
    let mut beside = filter.rules.clone().unwrap_or_default();
    let all: Vec<&Rule> = groups.iter().flat_map(|(_, rules)| rules).collect();
    for rule in &all {
        let mut of_its_kind = all.iter().filter(|other| rule.replaces(other));
        if !beside.iter().any(|known| known.replaces(rule)) && of_its_kind.all(|other| other == rule) {
            beside.push((*rule).clone());
        }
    }
    beside
}

/// As [`explicit`], with the rules of every platform, for people to choose from.
fn shown(config: &StageConfig) -> Value {
    let mut value = explicit(config);
    if let StageConfig::ContentFilter(filter) = config
        && let Some(members) = value.get_mut("content_filter").and_then(Value::as_object_mut)
    {
        let groups = filter.groups();
        let rules: Vec<_> = groups.iter().flat_map(|(_, rules)| rules).collect();
        members.insert("rules".to_owned(), serde_json::to_value(rules).unwrap_or_default());
    }
    value
}

/// `path = value` for everything below a node that can be set, and `path = on` for rules without a limit.
fn values_of(path: &str, node: &Value, values: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match node {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::Array(items) if name == "rules" => {
                        for item in items {
                            match item {
                                Value::String(rule) => values.push(format!("{} = on", below(rule))),
                                rule => values_of(path, rule, values),
                            }
                        }
                    }
                    _ => values_of(&below(name), member, values),
                }
            }
        }
        other => values.push(format!("{path} = {other}")),
    }
}
