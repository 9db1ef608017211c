//! What each rule measures, what it drops and where it comes from: the text of `genome explain-rule`.

use genome_schemas::Outcome;

use super::rule::{Engagement, LanguageRule, NgramLimit, Rule, WordList};

/// What there is to know of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleFacts {
    /// Name in configs and in the ledger.
    pub name: &'static str,
    /// The outcome of what it drops.
    pub outcome: Outcome,
    /// What it looks at or measures, with the unit.
    pub measures: &'static str,
    /// What it drops.
    pub drops: &'static str,
    /// Where it comes from.
    pub origin: &'static str,
}

const OURS: &str = "made for short posts; see docs/performance.md for what it costs";
const HUMANLLM: &str = "HumanLLM, filters of stage 1";
const GOPHER: &str = "Gopher (Rae et al. 2021, table A1), over short texts";

impl Rule {
    /// What there is to know of the rule.
    pub fn facts(&self) -> RuleFacts {
        let facts =
            |name, outcome, measures, drops, origin| RuleFacts { name, outcome, measures, drops, origin };
        match self {
            Self::Deleted => facts(
                "deleted",
                Outcome::Deleted,
                "the placeholders that platforms put in the place of a text, and empty texts",
                "what its author deleted or a moderator removed, and texts without a word",
                HUMANLLM,
            ),
            Self::Incomplete => facts(
                "incomplete",
                Outcome::Incomplete,
                "whether author and time are there",
                "records without an author or without a usable time",
                HUMANLLM,
            ),
            Self::RatingRequired => facts(
                "rating_required",
                Outcome::Incomplete,
                "whether a rating from 1 to 5 is there",
                "reviews without a rating",
                HUMANLLM,
            ),
            Self::ContextRequired => facts(
                "context_required",
                Outcome::Incomplete,
                "whether the dump has what the record answers or reviews",
                "records without it, such as reviews of items that no file describes",
                HUMANLLM,
            ),
            Self::BotAuthor => facts(
                "bot_author",
                Outcome::BotAuthor,
                "the account's name and description as the reader saw them, and signatures of programs in the text, not in \
                 lines that it quotes",
                "accounts that say they are automated or are known to be, and texts that a program signs",
                OURS,
            ),
            Self::ListedBotAuthor => facts(
                "listed_bot_author",
                Outcome::BotAuthor,
                "whether the account's name holds `automoderator` or `autotldr`",
                "these accounts",
                HUMANLLM,
            ),
            Self::Moderator => facts(
                "moderator",
                Outcome::Moderator,
                "the office in which it was written (Reddit's `distinguished`)",
                "what moderators and administrators write in that office",
                HUMANLLM,
            ),
            Self::CorporateAuthor => facts(
                "corporate_author",
                Outcome::CorporateAuthor,
                "phrases in the account's description, such as `official account` or `customer service`",
                "accounts that say they speak for an organisation",
                OURS,
            ),
            Self::CorporateWords => facts(
                "corporate_words",
                Outcome::CorporateAuthor,
                "15 words in the account's description, such as `company`, `shop` or `Ltd.`",
                "accounts whose description has one of them",
                "HumanLLM, filter of Twitter users",
            ),
            Self::Repost => facts(
                "repost",
                Outcome::Repost,
                "whether the record only passes on somebody else's words",
                "retweets and shares without a word of one's own",
                "HumanLLM, filter of Twitter posts (`RT @`)",
            ),
            Self::LinkPost => facts(
                "link_post",
                Outcome::LinkPost,
                "whether the post is a link (Reddit's `is_self` is false)",
                "posts that are a link with a title",
                "HumanLLM, filter of Reddit submissions",
            ),
            Self::Advertisement => facts(
                "advertisement",
                Outcome::Advertisement,
                "10 advertising phrases as whole words, such as `buy now` or `promo`",
                "texts that have one of them",
                "HumanLLM, filter of Twitter posts",
            ),
            Self::TopLevelOnly => facts(
                "top_level_only",
                Outcome::NotTopLevel,
                "whether a comment answers the post itself",
                "answers to answers",
                "HumanLLM, filter of Reddit comments",
            ),
            Self::MinChars(_) => facts(
                "min_chars",
                Outcome::TooShort,
                "characters (Unicode scalar values) of title and text",
                "texts of fewer characters",
                "HumanLLM: 300 on Reddit posts, Twitter and Blogger, 200 on Reddit comments",
            ),
            Self::MaxChars(_) => facts(
                "max_chars",
                Outcome::TooLong,
                "characters (Unicode scalar values) of title and text",
                "texts of more characters",
                OURS,
            ),
            Self::MinWords(_) => facts(
                "min_words",
                Outcome::TooShort,
                "words, separated by white space; in scripts that write none, two letters count as a word",
                "texts of fewer words",
                OURS,
            ),
            Self::MaxWords(_) => facts(
                "max_words",
                Outcome::TooLong,
                "words, separated by white space",
                "texts of more words",
                "Gopher: 100,000",
            ),
            Self::MinTextWords(_) => facts(
                "min_text_words",
                Outcome::TooShort,
                "words of the text without its title",
                "texts of fewer words",
                "HumanLLM: 6 in an Amazon review",
            ),
            Self::BareQuestion(_) => facts(
                "bare_question",
                Outcome::TooShort,
                "words of a text (without its title) that ends in a question mark",
                "questions of fewer words",
                "HumanLLM, filter of Reddit submissions: 10",
            ),
            Self::MaxLinks(_) => facts(
                "max_links",
                Outcome::TooManyLinks,
                "share of the words that are links or hold one",
                "texts with a larger share",
                OURS,
            ),
            Self::MaxEmoji(_) => facts(
                "max_emoji",
                Outcome::TooManySymbols,
                "share of emoji among the visible characters",
                "texts with a larger share",
                OURS,
            ),
            Self::MaxHashtags(_) => facts(
                "max_hashtags",
                Outcome::TooManySymbols,
                "share of the words that are hashtags",
                "texts with a larger share",
                OURS,
            ),
            Self::MaxMentions(_) => facts(
                "max_mentions",
                Outcome::TooManySymbols,
                "share of the words that are mentions of people",
                "texts with a larger share",
                OURS,
            ),
            Self::MaxUpperCase(_) => facts(
                "max_upper_case",
                Outcome::TooManySymbols,
                "share of capitals among the letters that have a case; texts of fewer than 20 such letters pass",
                "texts with a larger share",
                OURS,
            ),
            Self::MaxDigits(_) => facts(
                "max_digits",
                Outcome::TooManySymbols,
                "share of digits among the visible characters",
                "texts with a larger share",
                OURS,
            ),
            Self::MaxSymbols(_) => facts(
                "max_symbols",
                Outcome::TooManySymbols,
                "share of characters that are neither letter nor digit among the visible ones",
                "texts with a larger share",
                OURS,
            ),
            Self::MaxRepeatedCharacters(_) => facts(
                "max_repeated_characters",
                Outcome::Repetitive,
                "share of the visible characters that stretch a run of one character beyond its third",
                "texts with a larger share",
                OURS,
            ),
            Self::MaxRepeatedWords(_) => facts(
                "max_repeated_words",
                Outcome::Repetitive,
                "share of the words that repeat the word before, in any case",
                "texts with a larger share",
                OURS,
            ),
            Self::MaxRepeatedLines(_) => facts(
                "max_repeated_lines",
                Outcome::Repetitive,
                "share of the characters that lie in lines that repeat an earlier line",
                "texts with a larger share",
                GOPHER,
            ),
            Self::MaxTopNgram(_) => facts(
                "max_top_ngram",
                Outcome::Repetitive,
                "share of the words' characters in the most frequent sequence of n words (2 to 4) that occurs twice",
                "texts with a larger share",
                GOPHER,
            ),
            Self::MaxRepeatedNgrams(_) => facts(
                "max_repeated_ngrams",
                Outcome::Repetitive,
                "share of the words' characters in sequences of n words (5 to 10) that were said before",
                "texts with a larger share",
                GOPHER,
            ),
            Self::MaxLoop(_) => facts(
                "max_loop",
                Outcome::Repetitive,
                "share of the words in passages that say one phrase over and over",
                "texts with a larger share",
                OURS,
            ),
            Self::MaxBoilerplate(_) => facts(
                "max_boilerplate",
                Outcome::Boilerplate,
                "signs of forms, notices and programs, such as `contact the moderators of this subreddit`",
                "texts with more of them",
                OURS,
            ),
            Self::MaxQuoted(_) => facts(
                "max_quoted",
                Outcome::Quoted,
                "share of the characters in lines that begin with `>`",
                "texts with a larger share",
                OURS,
            ),
            Self::MaxContained(_) => facts(
                "max_contained",
                Outcome::Quoted,
                "share of the runs of five words that stand in what the text answers; texts of fewer words pass",
                "answers that repeat more of it, marked as a quotation or not",
                OURS,
            ),
            Self::MinEngagement(_) => facts(
                "min_engagement",
                Outcome::LowEngagement,
                "score, likes or helpful votes; records without a count pass",
                "records with fewer",
                OURS,
            ),
            Self::EngagementAny(_) => facts(
                "engagement_any",
                Outcome::LowEngagement,
                "score and answers; the ledger shows the score, or the answers where the score is not known",
                "records under both limits; a record with only one of the counts is held to that one",
                "HumanLLM, filter of Reddit submissions: 2 and 2",
            ),
            Self::EngagementAll(_) => facts(
                "engagement_all",
                Outcome::LowEngagement,
                "score and answers; the ledger shows the score where it is too low, else the answers",
                "records under one limit or the other; a count that is missing passes",
                OURS,
            ),
            Self::WordList(_) => facts(
                "word_list",
                Outcome::Harmful,
                "how often listed words and phrases occur, as whole words in any case",
                "texts with more of them",
                "a hook for lists of your own; off by default",
            ),
            Self::Language(_) => facts(
                "language",
                Outcome::OtherLanguage,
                "the language of the text; texts too short to tell pass",
                "texts in another language than the allowed ones",
                "HumanLLM asks for English",
            ),
        }
    }

    /// One rule of each kind, in the order of the list, with limits that mean something.
    pub fn one_of_each() -> Vec<Self> {
        let both = Engagement { engagement: 2, replies: 2 };
        vec![
            Self::Deleted,
            Self::Incomplete,
            Self::RatingRequired,
            Self::ContextRequired,
            Self::BotAuthor,
            Self::ListedBotAuthor,
            Self::Moderator,
            Self::CorporateAuthor,
            Self::CorporateWords,
            Self::Repost,
            Self::LinkPost,
            Self::Advertisement,
            Self::TopLevelOnly,
            Self::MinChars(300),
            Self::MaxChars(20_000),
            Self::MinWords(6),
            Self::MaxWords(5_000),
            Self::MinTextWords(6),
            Self::BareQuestion(10),
            Self::MaxLinks(0.3),
            Self::MaxEmoji(0.3),
            Self::MaxHashtags(0.5),
            Self::MaxMentions(0.5),
            Self::MaxUpperCase(0.9),
            Self::MaxDigits(0.4),
            Self::MaxSymbols(0.5),
            Self::MaxRepeatedCharacters(0.3),
            Self::MaxRepeatedWords(0.3),
            Self::MaxRepeatedLines(0.3),
            Self::MaxTopNgram(NgramLimit { n: 2, share: 0.2 }),
            Self::MaxRepeatedNgrams(NgramLimit { n: 5, share: 0.15 }),
            Self::MaxLoop(0.5),
            Self::MaxBoilerplate(1),
            Self::MaxQuoted(0.8),
            Self::MaxContained(0.8),
            Self::MinEngagement(2),
            Self::EngagementAny(both),
            Self::EngagementAll(both),
            Self::WordList(WordList { words: vec!["word".to_owned()], max: 0 }),
            Self::Language(LanguageRule { allow: vec!["eng".to_owned()], min_chars: 20 }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_told_once_under_the_name_that_configs_use() {
        let all = Rule::one_of_each();
        let names: std::collections::BTreeSet<&str> = all.iter().map(Rule::name).collect();
        assert_eq!(names.len(), all.len());
        for rule in all {
            let written = serde_json::to_value(&rule).unwrap();
            let name = written
                .as_str()
                .map_or_else(|| written.as_object().unwrap().keys().next().unwrap().clone(), str::to_owned);
            assert_eq!(name, rule.name());
            assert_eq!(rule.problem(), None);
            let facts = rule.facts();
            assert!([facts.measures, facts.drops, facts.origin].iter().all(|text| text.len() > 5), "{name}");
        }
    }
}
