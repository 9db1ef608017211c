//! `genome explain-rule`

use std::process::ExitCode;

use anyhow::Result;
use genome_stages::filter::{ContentFilter, Preset, Rule};

use crate::cli::ExplainRuleArgs;
use crate::error::Hinted;
use crate::progress::print;

pub(super) fn explain_rule(args: &ExplainRuleArgs) -> Result<ExitCode> {
    let rules = Rule::one_of_each();
    let Some(name) = &args.name else {
        for rule in &rules {
            let facts = rule.facts();
            print(&format!("{:<24} {:<17} {}", facts.name, facts.outcome.as_str(), facts.drops))?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let wanted = |rule: &&Rule| rule.name() == name || rule.outcome().as_str() == name;
    let found: Vec<&Rule> = rules.iter().filter(wanted).collect();
    if found.is_empty() {
        let near = nearest(name, rules.iter().map(Rule::name));
        return Err(Hinted::new(
            format!("there is no rule `{name}`"),
            format!("did you mean `{near}`? `genome explain-rule` lists all rules"),
        )
        .into());
    }
    let texts: Vec<String> = found.into_iter().map(describe).collect();
    print(&texts.join("\n\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// What there is to know of a rule, and its limits in the presets.
fn describe(rule: &Rule) -> String {
    let facts = rule.facts();
    let mut lines = vec![
        facts.name.to_owned(),
        format!("  measures  {}", facts.measures),
        format!("  drops     {}, as `{}`", facts.drops, facts.outcome),
        format!("  origin    {}", facts.origin),
        format!("  written   {}", written(rule)),
    ];
    for (preset, name) in [(Preset::ShortPosts, "short_posts"), (Preset::PaperHumanllm, "paper_humanllm")] {
        let filter = ContentFilter { preset: Some(preset), ..ContentFilter::default() };
        for (scope, rules) in filter.groups() {
            for (place, used) in rules.iter().enumerate().filter(|(_, used)| used.name() == facts.name) {
                let mut whose: Vec<&str> = scope.platforms.iter().map(|platform| platform.as_str()).collect();
                whose.extend(scope.kinds.iter().map(|kind| kind.as_str()));
                let whose = if whose.is_empty() { String::new() } else { format!(" on {}", whose.join(" ")) };
                lines.push(format!(
                    "  {name}{whose}: {}, number {} of {}",
                    written(used),
                    place + 1,
                    rules.len()
                ));
            }
        }
    }
    lines.join("\n")
}

/// The rule as a config writes it.
fn written(rule: &Rule) -> String {
    /// A rule as the value of a key, which is what TOML can write.
    #[derive(serde::Serialize)]
    struct Line<'a> {
        rule: &'a Rule,
    }
    let inline = |value: &toml::Value| match value {
        toml::Value::Table(table) => inline_table(table),
        other => other.to_string(),
    };
    match toml::Value::try_from(Line { rule }) {
        Ok(value) => value.get("rule").map_or_else(|| rule.name().to_owned(), inline),
        Err(_) => rule.name().to_owned(),
    }
}

fn inline_table(table: &toml::Table) -> String {
    let members = table.iter().map(|(key, value)| match value {
        toml::Value::Table(inner) => format!("{key} = {}", inline_table(inner)),
        other => format!("{key} = {other}"),
    });
    format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
}

/// The name that differs from `wanted` in the fewest letters; of several the first.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> &'a str {
    names.min_by_key(|name| strsim::levenshtein(wanted, name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_configs_read_them() {
        #[derive(serde::Deserialize)]
        struct Line {
            rule: Rule,
        }
        for rule in Rule::one_of_each() {
            let read: Line = toml::from_str(&format!("rule = {}", written(&rule))).unwrap();
            assert_eq!(read.rule, rule);
        }
    }

    #[test]
    fn a_misspelt_name_is_near_the_right_one() {
        let rules = Rule::one_of_each();
        for (wanted, name) in
            [("max_link", "max_links"), ("botauthor", "bot_author"), ("min_char", "min_chars")]
        {
            assert_eq!(nearest(wanted, rules.iter().map(Rule::name)), name);
        }
    }
}
