//! The closed list of stages, as a config writes them.

use serde::{Deserialize, Serialize};

use crate::author_language::AuthorLanguage;
use crate::authors::{AuthorActivity, AuthorHistory, GroupAuthors, KCore};
use crate::decontaminate::Decontaminate;
use crate::dedup::Dedup;
use crate::filter::ContentFilter;
use crate::kept_threads::KeptThreads;
use crate::pii_scrub::PiiScrub;
use crate::semantic::{Embed, SemanticDedup};
use crate::shared_passages::SharedPassages;
use crate::split::Split;
use crate::stage::Stage;
use crate::synthesis::{
    AnswerLeaks, AnswerRepeats, ApplyTags, CalibrateChoices, Judge, QualityGate, ScoreTrace, Synthesize,
};
use crate::tasks::Compose;

/// One stage of a config. The struct behind each name is the stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageConfig {
    /// events → events: drops by rules on single records.
    ContentFilter(ContentFilter),
    /// events → events: drops texts in other languages, short ones by what their authors write in.
    AuthorLanguage(AuthorLanguage),
    /// events → events: drops comments whose post is gone.
    KeptThreads(KeptThreads),
    /// events → events: replaces personal data by placeholders.
    PiiScrub(PiiScrub),
    /// events → events: drops repeats.
    Dedup(Dedup),
    /// events → events: drops or trims what stands in earlier texts, or in what is answered.
    SharedPassages(SharedPassages),
    /// events → embeddings: asks an encoder.
    Embed(Embed),
    /// events and embeddings → events: drops what says the same in other words.
    SemanticDedup(SemanticDedup),
    /// events → events, or examples → examples: drops what overlaps with an evaluation set.
    Decontaminate(Decontaminate),
    /// events → events: drops accounts that behave like programs or spammers.
    AuthorHistory(AuthorHistory),
    /// events → events: drops reviews of people with too few items and of items with too few people.
    KCore(KCore),
    /// events → events: drops authors with too few events.
    AuthorActivity(AuthorActivity),
    /// events → events: gives each event its split.
    Split(Split),
    /// events → authors: one row per person, train events only.
    GroupAuthors(GroupAuthors),
    /// events or authors → completions: asks a model.
    Synthesize(Synthesize),
    /// completions and events → events: drops by tags, and puts new texts in the place of old ones.
    ApplyTags(ApplyTags),
    /// completions → completions: makes choices anew against what is usual.
    CalibrateChoices(CalibrateChoices),
    /// completions → completions: drops what another person was told, too.
    AnswerRepeats(AnswerRepeats),
    /// completions and events → completions: drops what tells of held-out texts, or what a field hides.
    AnswerLeaks(AnswerLeaks),
    /// completions → judgements: asks a judge.
    Judge(Judge),
    /// completions and events → judgements: how much likelier a thought makes the real text.
    ScoreTrace(ScoreTrace),
    /// completions → completions: drops what scored too low.
    QualityGate(QualityGate),
    /// completions and events → examples: training examples.
    Compose(Compose),
}

impl StageConfig {
    /// The stage behind the config.
    pub fn stage(&self) -> &dyn Stage {
        match self {
            Self::ContentFilter(stage) => stage,
            Self::AuthorLanguage(stage) => stage,
            Self::KeptThreads(stage) => stage,
            Self::PiiScrub(stage) => stage,
            Self::Dedup(stage) => stage,
            Self::SharedPassages(stage) => stage,
            Self::Embed(stage) => stage,
            Self::SemanticDedup(stage) => stage,
            Self::Decontaminate(stage) => stage,
            Self::AuthorHistory(stage) => stage,
            Self::KCore(stage) => stage,
            Self::AuthorActivity(stage) => stage,
            Self::Split(stage) => stage,
            Self::GroupAuthors(stage) => stage,
            Self::Synthesize(stage) => stage,
            Self::ApplyTags(stage) => stage,
            Self::CalibrateChoices(stage) => stage,
            Self::AnswerRepeats(stage) => stage,
            Self::AnswerLeaks(stage) => stage,
            Self::Judge(stage) => stage,
            Self::ScoreTrace(stage) => stage,
            Self::QualityGate(stage) => stage,
            Self::Compose(stage) => stage,
        }
    }
}
