//! Lists of rules that stand for themselves.

use genome_schemas::{EventKind, Platform};
use serde::{Deserialize, Serialize};

use super::rule::{Engagement, LanguageRule, Rule, RuleScope};

/// A list of rules by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Made for short posts in English: what a good post can look like stays, whatever its length.
    ShortPosts,
    /// `HumanLLM`'s filters of single records, platform by platform and in its order. What it asks of whole authors is
    /// asked by stages after this one: see `examples/configs/paper_humanllm.toml`.
    PaperHumanllm,
}

/// Rules and where they hold.
pub(super) type RuleGroup = (RuleScope, Vec<Rule>);

impl Preset {
    /// The rules, in the order of their precedence.
    pub(super) fn groups(self) -> Vec<RuleGroup> {
        match self {
            Self::ShortPosts => vec![(RuleScope::default(), short_posts())],
            Self::PaperHumanllm => paper_humanllm(),
        }
    }
}

/// What ordinary posts, comments and reviews pass, and templates, spam and noise do not.
fn short_posts() -> Vec<Rule> {
    vec![
        Rule::Repost,
        Rule::Deleted,
        Rule::BotAuthor,
        Rule::Moderator,
        Rule::CorporateAuthor,
        // Before the lengths, so that three links or a cry leave for what they are.
        Rule::MaxBoilerplate(1),
        Rule::MaxLinks(0.5),
        Rule::MaxLoop(0.5),
        Rule::MaxRepeatedCharacters(0.5),
        Rule::MaxRepeatedLines(0.5),
        Rule::MinChars(12),
        Rule::MinWords(3),
        Rule::MaxChars(20_000),
        Rule::MaxRepeatedWords(0.5),
        Rule::MaxSymbols(0.5),
        Rule::MaxDigits(0.5),
        Rule::MaxHashtags(0.5),
        Rule::MaxMentions(0.7),
        Rule::MaxQuoted(0.8),
        Rule::Language(LanguageRule { allow: vec!["eng".to_owned()], min_chars: 20 }),
    ]
}

fn paper_humanllm() -> Vec<RuleGroup> {
    let on = |platform, kinds: &[EventKind]| RuleScope { platforms: vec![platform], kinds: kinds.to_vec() };
    vec![
        (
            on(Platform::Reddit, &[EventKind::Post]),
            vec![
                Rule::Incomplete,
                Rule::ListedBotAuthor,
                Rule::LinkPost,
                Rule::Moderator,
                Rule::EngagementAny(Engagement { engagement: 2, replies: 2 }),
                Rule::MinChars(300),
                Rule::BareQuestion(10),
            ],
        ),
        (
            on(Platform::Reddit, &[EventKind::Comment]),
            vec![Rule::ListedBotAuthor, Rule::Deleted, Rule::MinChars(200), Rule::TopLevelOnly],
        ),
        (
            on(Platform::Twitter, &[]),
            vec![Rule::Deleted, Rule::MinChars(300), Rule::CorporateWords, Rule::Advertisement, Rule::Repost],
        ),
        // "More than 300 characters". A date that cannot be read is asked of these by `author_activity`, with its author's
        // other posts: a rule here would take it out of sight.
        (on(Platform::Blogger, &[]), vec![Rule::MinChars(301)]),
        (on(Platform::Amazon, &[]), vec![Rule::ContextRequired, Rule::RatingRequired, Rule::MinTextWords(6)]),
    ]
}
