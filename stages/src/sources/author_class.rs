//! What a handle, description or office says of an account, decided before the handle is hashed.

use genome_kernels::text::advertising::corporate_word;

/// What an account says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthorClass {
    Person,
    /// Nobody is named any more, or the person took the record back.
    Deleted,
    Bot,
    /// One of the automation accounts that `HumanLLM` lists.
    ListedBot,
    /// Speaks as a moderator or administrator.
    Moderator,
    /// Speaks for an organisation.
    Corporate,
    /// Its description has one of `HumanLLM`'s corporate words; whether it speaks for an organisation is open.
    CorporateWord,
    /// The record could not be read.
    Unknown,
}

impl AuthorClass {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Deleted => "deleted",
            Self::Bot => "bot",
            Self::ListedBot => "listed_bot",
            Self::Moderator => "moderator",
            Self::Corporate => "corporate",
            Self::CorporateWord => "corporate_word",
            Self::Unknown => "unknown",
        }
    }
}

/// Automation accounts of Reddit whose names the patterns below do not catch, in lower case.
const REDDIT_BOTS: [&str; 26] = [
    "b0trank",
    "remindmebot",
    "haikusbot",
    "sneakpeekbot",
    "savevideo",
    "totesmessenger",
    "vredditdownloader",
    "imguralbumbot",
    "gifreversingbot",
    "wikitextbot",
    "amputatorbot",
    "linkfixerbot",
    "anti-gif-bot",
    "converter-bot",
    "colorizebot",
    "downloadvideo",
    "gfycat_details_fixer",
    "mentioned_videos",
    "mtgcardfetcher",
    "nice-scores",
    "profanitycounter",
    "roboragi",
    "stabbot",
    "tweetposter",
    "user_simulator",
    "xkcd_transcriber",
];

/// Parts of the names of accounts that `HumanLLM` drops (filter of Reddit submissions), in lower case.
const LISTED_BOTS: [&str; 2] = ["autotldr", "automoderator"];

/// Accounts in which moderators of a subreddit speak together end so.
const MOD_TEAM: &str = "-modteam";

/// The class of a Reddit account by its name, and by the office in which it wrote.
pub(super) fn reddit(author: Option<&str>, distinguished: Option<&str>) -> AuthorClass {
    let Some(author) = author else { return AuthorClass::Deleted };
    let begins = |start: &str| author.get(..start.len()).is_some_and(|s| s.eq_ignore_ascii_case(start));
    if LISTED_BOTS.iter().any(|name| holds(author, name)) {
        return AuthorClass::ListedBot;
    }
    let is_known = REDDIT_BOTS.iter().any(|bot| author.eq_ignore_ascii_case(bot));
    if begins("automod") || is_known || names_a_bot(author) {
        return AuthorClass::Bot;
    }
    let is_team = author
        .len()
        .checked_sub(MOD_TEAM.len())
        .and_then(|at| author.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(MOD_TEAM));
    if is_team || matches!(distinguished, Some("moderator" | "admin" | "special")) {
        return AuthorClass::Moderator;
    }
    if author.eq_ignore_ascii_case("reddit") {
        return AuthorClass::Corporate;
    }
    AuthorClass::Person
}

/// The class of a Twitter account by its name and its own description.
pub(super) fn twitter(screen_name: &str, description: &str) -> AuthorClass {
    let description = description.to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| description.contains(phrase));
    if names_a_bot(screen_name)
        || says(&[
            "i am a bot",
            "i'm a bot",
            "automated account",
            "automated by",
            "automatically tweets",
            "tweets by a bot",
        ])
    {
        return AuthorClass::Bot;
    }
    if says(&["official account", "official twitter", "customer service", "customer support", "press office"])
    {
        return AuthorClass::Corporate;
    }
    if corporate_word(&description).is_some() {
        return AuthorClass::CorporateWord;
    }
    AuthorClass::Person
}

/// Whether an ASCII name holds a word in any case.
fn holds(name: &str, word: &str) -> bool {
    let (name, word) = (name.as_bytes(), word.as_bytes());
    let first = word.first().copied().unwrap_or_default();
    memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), name)
        .any(|at| name[at..].get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word)))
}

/// Whether "bot" stands in the name as a word of its own (`a-bot`, `bot_1`), or ends it with a capital (`HaikuBot`).
///
/// A name that merely ends in "bot" is weak evidence: as many people as programs have one.
fn names_a_bot(name: &str) -> bool {
    if !holds(name, "bot") {
        return false;
    }
    let separate =
        name.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word.eq_ignore_ascii_case("bot"));
    let capital = name
        .strip_suffix("Bot")
        .is_some_and(|head| head.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()));
    separate || capital
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reddit_names() {
        for (author, distinguished, class) in [
            (Some("grace"), None, "person"),
            (None, None, "deleted"),
            (Some("AutoModerator"), Some("moderator"), "listed_bot"),
            (Some("automod_helper"), None, "bot"),
            (Some("helpful-bot"), None, "bot"),
            (Some("Bot_of_Troy"), None, "bot"),
            (Some("CatFactsBot"), None, "bot"),
            (Some("Roboragi"), None, "bot"),
            (Some("robotics"), None, "person"),
            (Some("talbot"), None, "person"),
            (Some("squidbot"), None, "person"),
            (Some("IRobot"), None, "person"),
            (Some("Abbott"), None, "person"),
            (Some("autotldr"), None, "listed_bot"),
            (Some("math-ModTeam"), None, "moderator"),
            (Some("grace"), Some("moderator"), "moderator"),
            (Some("reddit"), None, "corporate"),
        ] {
            assert_eq!(reddit(author, distinguished).as_str(), class, "{author:?} {distinguished:?}");
        }
    }

    #[test]
    fn twitter_descriptions() {
        for (name, description, class) in [
            ("grace", "Sailor. Tweets about compilers.", "person"),
            ("moon_bot", "", "bot"),
            ("moon", "I am a bot that tweets the moon", "bot"),
            ("shop", "The OFFICIAL account of a shop", "corporate"),
            ("smith", "Smith & Sons Ltd., since 1950", "corporate_word"),
            ("robotics", "bottles and robots", "person"),
        ] {
            assert_eq!(twitter(name, description).as_str(), class, "{name}");
        }
    }
}
