//! Every way in which a row can leave.

use std::str::FromStr;

macro_rules! outcomes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What became of a row: kept, or the reason it was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Outcome { $($(#[$doc])* $variant,)* }

        impl Outcome {
            /// Every outcome, `Kept` first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in tables, folders and reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

outcomes! {
    /// Still in.
    Kept = "kept",
    /// The record could not be read; its file and offset are in the row.
    Malformed = "malformed",
    /// Nobody's doing: a notice of the platform, or a page without records.
    Notice = "notice",
    /// Deleted by its author or removed by a moderator.
    Deleted = "deleted",
    /// Without something that the rest of the way needs: an author, a time, a rating.
    Incomplete = "incomplete",
    /// Written by an automation account.
    BotAuthor = "bot_author",
    /// Written by an account that posts the same, or for the same site, again and again.
    SpamAuthor = "spam_author",
    /// Written by a moderator or administrator in that office.
    Moderator = "moderator",
    /// Written by an account that speaks for an organisation.
    CorporateAuthor = "corporate_author",
    /// Advertising.
    Advertisement = "advertisement",
    /// Somebody else's words, passed on.
    Repost = "repost",
    /// An answer to an answer, where only top-level ones are wanted.
    NotTopLevel = "not_top_level",
    /// Fewer characters or words than asked for.
    TooShort = "too_short",
    /// More characters than asked for.
    TooLong = "too_long",
    /// A link with a title, and no words of its own.
    LinkPost = "link_post",
    /// Too many links for its words.
    TooManyLinks = "too_many_links",
    /// Too many emoji, hashtags, mentions, digits, signs or capitals for its words.
    TooManySymbols = "too_many_symbols",
    /// Words that a form or a program puts under or over texts.
    Boilerplate = "boilerplate",
    /// Mostly a quotation of somebody else.
    Quoted = "quoted",
    /// The same words, lines or characters over and over.
    Repetitive = "repetitive",
    /// Too few readers reacted.
    LowEngagement = "low_engagement",
    /// Says what nobody should learn from: a listed word, or a tag by a model.
    Harmful = "harmful",
    /// Of too little worth, by a tag of a model.
    LowQuality = "low_quality",
    /// In a language that is not wanted.
    OtherLanguage = "other_language",
    /// The same text as a row that stays.
    ExactDuplicate = "exact_duplicate",
    /// Nearly the same text as a row that stays.
    NearDuplicate = "near_duplicate",
    /// Says the same as a row that stays, in other words.
    SemanticDuplicate = "semantic_duplicate",
    /// Mostly passages that stand in earlier texts, or in what it answers.
    SharedPassage = "shared_passage",
    /// Overlaps with an evaluation set.
    Contaminated = "contaminated",
    /// An answer to a post that left.
    Orphaned = "orphaned",
    /// About an item that its author has written about before.
    RepeatedItem = "repeated_item",
    /// About an item that too few people have written about.
    RareItem = "rare_item",
    /// The author has too few rows left.
    InactiveAuthor = "inactive_author",
    /// A validation or test row whose author has no train rows.
    UnseenAuthor = "unseen_author",
    /// Without a usable time, so it cannot be split by time.
    Undated = "undated",
    /// The prompt does not fit the model's context.
    ContextTooLong = "context_too_long",
    /// The answer was cut off.
    Truncated = "truncated",
    /// The engine failed on this row.
    EngineError = "engine_error",
    /// The answer does not have the fields it must have.
    Unparseable = "unparseable",
    /// The model answered that the text does not support an answer.
    NoAnswer = "no_answer",
    /// The answer says what the text it is about does not support: a quotation, a name, a number, or most of its words.
    Ungrounded = "ungrounded",
    /// The model declined, or spoke as an assistant or of its prompt.
    Refused = "refused",
    /// The answer repeats its prompt's instructions or examples.
    Echo = "echo",
    /// What should be hidden is told: an answer in its scenario, a target in the persona.
    Leaked = "leaked",
    /// The answer runs in a loop.
    Degenerate = "degenerate",
    /// The answer holds personal data (e-mail address, phone number, …).
    PersonalData = "personal_data",
    /// A judge's score is missing or under its threshold.
    BelowThreshold = "below_threshold",
}

/// A string that names no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no outcome; outcomes are: {known}", known = known())]
pub struct UnknownOutcome(pub String);

fn known() -> String {
    Outcome::ALL.iter().map(|o| o.as_str()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|o| o.as_str() == name).ok_or_else(|| UnknownOutcome(name.to_owned()))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_parse_back() {
        let names: std::collections::BTreeSet<_> = Outcome::ALL.iter().map(|o| o.as_str()).collect();
        assert_eq!(names.len(), Outcome::ALL.len());
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(*outcome));
        }
        assert!("keep".parse::<Outcome>().unwrap_err().to_string().contains("outcomes are: kept"));
    }
}
