//! The closed list of filter rules, as a config writes them: each has an outcome, and most have a limit.

use genome_kernels::text::language::{LANGUAGES, UNCODED, told_as};
use genome_schemas::{EventKind, Outcome, Platform};
use serde::{Deserialize, Serialize};

/// One rule of a content filter.
///
/// Lengths are in Unicode scalar values over title and text together, the line end between them left out; words are
/// separated by white space; shares are in `0.0..=1.0`. What each one measures and where it comes from is told by
/// [`Rule::facts`] and by `genome explain-rule`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Deleted by the author, removed by a moderator, or empty.
    Deleted,
    /// Names no author, or has no usable time.
    Incomplete,
    /// Has no rating.
    RatingRequired,
    /// Comes with what it answers or reviews.
    ContextRequired,
    /// The account's name or description says that it is automated, or the text says that a program wrote it.
    BotAuthor,
    /// The account is one of those that `HumanLLM` lists.
    ListedBotAuthor,
    /// Written by a moderator or administrator in that office.
    Moderator,
    /// The account's description says that it speaks for an organisation.
    CorporateAuthor,
    /// The account's description has one of `HumanLLM`'s corporate words.
    CorporateWords,
    /// Somebody else's words, passed on.
    Repost,
    /// A post that is a link.
    LinkPost,
    /// Advertising phrases.
    Advertisement,
    /// Only answers to a post itself.
    TopLevelOnly,
    /// At least so many characters.
    MinChars(u32),
    /// At most so many characters.
    MaxChars(u32),
    /// At least so many words.
    MinWords(u32),
    /// At most so many words.
    MaxWords(u32),
    /// At least so many words in the text alone.
    MinTextWords(u32),
    /// A text that ends in a question mark has at least so many words.
    BareQuestion(u32),
    /// At most this share of words may be links.
    MaxLinks(f64),
    /// At most this share of visible characters may be emoji.
    MaxEmoji(f64),
    /// At most this share of words may be hashtags.
    MaxHashtags(f64),
    /// At most this share of words may be mentions.
    MaxMentions(f64),
    /// At most this share of letters with a case may be capitals; texts of fewer than twenty such letters pass.
    MaxUpperCase(f64),
    /// At most this share of visible characters may be digits.
    MaxDigits(f64),
    /// At most this share of visible characters may be neither letters nor digits.
    MaxSymbols(f64),
    /// At most this share of visible characters may stretch a run of one character beyond its third.
    MaxRepeatedCharacters(f64),
    /// At most this share of words may repeat the word before.
    MaxRepeatedWords(f64),
    /// At most this share of characters may lie in lines that repeat an earlier one.
    MaxRepeatedLines(f64),
    /// At most this share of the words' characters may lie in the most frequent sequence of `n` words.
    MaxTopNgram(NgramLimit),
    /// At most this share of the words' characters may lie in sequences of `n` words said before.
    MaxRepeatedNgrams(NgramLimit),
    /// At most this share of words may lie in a passage that says one phrase over and over.
    MaxLoop(f64),
    /// At most so many signs of a form or a program: see [`genome_kernels::text::profile`].
    MaxBoilerplate(u32),
    /// At most this share of characters may stand in quoted lines.
    MaxQuoted(f64),
    /// At most this share of the runs of five words may stand in what the event answers; shorter texts pass, and events
    /// without context.
    MaxContained(f64),
    /// At least this score, likes or votes; events without a count pass.
    MinEngagement(i64),
    /// At least this score **or** so many answers; events without either count pass.
    EngagementAny(Engagement),
    /// At least this score **and** so many answers; a count that is missing passes.
    EngagementAll(Engagement),
    /// At most so many of these words or phrases.
    WordList(WordList),
    /// Written in one of these languages.
    Language(LanguageRule),
}

/// A share for sequences of so many words.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NgramLimit {
    /// Words of a sequence: 2 to 4 for the most frequent one, 5 to 10 for repeated ones.
    pub n: u32,
    /// Largest share.
    pub share: f64,
}

/// What readers must have done with a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engagement {
    /// Score, likes or helpful votes.
    pub engagement: i64,
    /// Answers.
    pub replies: i64,
}

/// Words that a text may not have too many of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WordList {
    /// Words and phrases, found as whole words in any case.
    pub words: Vec<String>,
    /// So many may occur.
    #[serde(default)]
    pub max: u32,
}

/// The languages that are wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageRule {
    /// ISO 639-3 codes out of [`LANGUAGES`], and [`UNCODED`] for all languages whose scripts are none of theirs.
    pub allow: Vec<String>,
    /// Shorter texts are too short to tell, and pass.
    #[serde(default = "default_language_chars")]
    pub min_chars: u32,
}

const fn default_language_chars() -> u32 {
    20
}

/// Where a list of rules holds: everywhere, or on some platforms and kinds of events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleScope {
    /// Platforms; empty means all.
    pub platforms: Vec<Platform>,
    /// Kinds of events; empty means all.
    pub kinds: Vec<EventKind>,
}

impl RuleScope {
    /// Whether a record of this platform and kind is meant.
    pub fn holds(&self, platform: &str, kind: &str) -> bool {
        (self.platforms.is_empty() || self.platforms.iter().any(|p| p.as_str() == platform))
            && (self.kinds.is_empty() || self.kinds.iter().any(|k| k.as_str() == kind))
    }
}

impl Rule {
    /// What is wrong with the rule's limit, if anything.
    pub fn problem(&self) -> Option<String> {
        if let Some(limit) = self.share()
            && !(0.0..=1.0).contains(&limit)
        {
            return Some(format!("{} must be between 0 and 1, not {limit}", self.name()));
        }
        match self {
            Self::MaxTopNgram(NgramLimit { n, .. }) if !(2..=4).contains(n) => {
                Some(format!("max_top_ngram.n must be 2, 3 or 4, not {n}"))
            }
            Self::MaxRepeatedNgrams(NgramLimit { n, .. }) if !(5..=10).contains(n) => {
                Some(format!("max_repeated_ngrams.n must be from 5 to 10, not {n}"))
            }
            Self::WordList(list) if list.words.iter().all(|word| word.trim().is_empty()) => {
                Some("word_list.words must have at least one word".to_owned())
            }
            Self::Language(rule) if rule.allow.is_empty() => {
                Some("language.allow must name at least one language".to_owned())
            }
            Self::Language(rule) => {
                rule.allow.iter().find_map(|code| language_problem("language.allow", code))
            }
            _ => None,
        }
    }

    /// The limit that what is measured is held against, where the rule has one; of two the score's (see
    /// [`Self::replies_limit`]).
    pub fn limit(&self) -> Option<f64> {
        match self {
            Self::MinChars(n) | Self::MaxChars(n) | Self::MinWords(n) | Self::MaxWords(n) => {
                Some(f64::from(*n))
            }
            Self::MinTextWords(n) | Self::BareQuestion(n) | Self::MaxBoilerplate(n) => Some(f64::from(*n)),
            Self::MinEngagement(n) => Some(*n as f64),
            Self::EngagementAny(limits) | Self::EngagementAll(limits) => Some(limits.engagement as f64),
            Self::WordList(list) => Some(f64::from(list.max)),
            _ => self.share(),
        }
    }

    /// The limit of the answers, where the rule has one beside that of the score. The ledger shows it with the answers, where
    /// they are what was measured.
    pub fn replies_limit(&self) -> Option<f64> {
        match self {
            Self::EngagementAny(limits) | Self::EngagementAll(limits) => Some(limits.replies as f64),
            _ => None,
        }
    }

    /// Whether it looks at what the event answers.
    pub const fn looks_at_context(&self) -> bool {
        matches!(self, Self::ContextRequired | Self::MaxContained(_))
    }

    /// The limit of a rule that measures a share.
    fn share(&self) -> Option<f64> {
        match self {
            Self::MaxLinks(limit)
            | Self::MaxEmoji(limit)
            | Self::MaxHashtags(limit)
            | Self::MaxMentions(limit)
            | Self::MaxUpperCase(limit)
            | Self::MaxDigits(limit)
            | Self::MaxSymbols(limit)
            | Self::MaxRepeatedCharacters(limit)
            | Self::MaxRepeatedWords(limit)
            | Self::MaxRepeatedLines(limit)
            | Self::MaxLoop(limit)
            | Self::MaxQuoted(limit)
            | Self::MaxContained(limit) => Some(*limit),
            Self::MaxTopNgram(limit) | Self::MaxRepeatedNgrams(limit) => Some(limit.share),
            _ => None,
        }
    }

    /// Whether two rules are of one kind, so that one can take the other's place in a preset.
    pub fn replaces(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MaxTopNgram(a), Self::MaxTopNgram(b))
            | (Self::MaxRepeatedNgrams(a), Self::MaxRepeatedNgrams(b)) => a.n == b.n,
            _ => self.name() == other.name(),
        }
    }

    /// Name in configs and in the ledger.
    pub fn name(&self) -> &'static str {
        self.facts().name
    }

    /// The outcome of what it drops.
    pub fn outcome(&self) -> Outcome {
        self.facts().outcome
    }
}

/// What is wrong with a code of a language that is wanted, if anything; `key` is where a config has it.
pub(crate) fn language_problem(key: &str, code: &str) -> Option<String> {
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_lowercase()) {
        return Some(format!("{key} takes ISO 639-3 codes such as \"eng\", not \"{code}\""));
    }
    if code == UNCODED || LANGUAGES.contains(&code) {
        return None;
    }
    let instead = match told_as(code) {
        Some(told) => format!("such texts count as \"{told}\""),
        None => {
            format!("languages are: {}, and \"{UNCODED}\" for those of other scripts", LANGUAGES.join(", "))
        }
    };
    Some(format!("{key}: \"{code}\" is none that can be told; {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_those_that_can_be_told() {
        for (code, said) in [
            ("eng", None),
            ("mis", None),
            ("English", Some("takes ISO 639-3 codes such as \"eng\", not \"English\"")),
            ("zho", Some("\"zho\" is none that can be told; such texts count as \"cmn\"")),
            ("xyz", Some("languages are: eng, spa, ")),
            ("und", Some("\"und\" is none that can be told; languages are: ")),
        ] {
            let allow = vec!["deu".to_owned(), code.to_owned()];
            let problem = Rule::Language(LanguageRule { allow, min_chars: 20 }).problem();
            match (said, &problem) {
                (None, None) => {}
                (Some(said), Some(problem)) => assert!(problem.contains(said), "{code}: {problem}"),
                _ => panic!("{code}: {problem:?}"),
            }
        }
    }
}
