//! Where a record comes from, and what it is there.

use serde::{Deserialize, Serialize};

/// A platform whose dumps can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// Reddit comments and submissions.
    Reddit,
    /// Twitter personal archives.
    Twitter,
    /// Blogger posts (the Blog Authorship Corpus).
    Blogger,
    /// Amazon product reviews.
    Amazon,
}

impl Platform {
    /// Every platform.
    pub const ALL: [Self; 4] = [Self::Reddit, Self::Twitter, Self::Blogger, Self::Amazon];

    /// The name in configs, tables and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reddit => "reddit",
            Self::Twitter => "twitter",
            Self::Blogger => "blogger",
            Self::Amazon => "amazon",
        }
    }
}

/// What kind of thing a person did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A post or submission of one's own.
    Post,
    /// An answer to a post or comment.
    Comment,
    /// A product review.
    Review,
    /// Somebody else's words, passed on.
    Repost,
    /// A record whose kind could not be told, because it could not be read.
    Unknown,
}

impl EventKind {
    /// The name in tables and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Comment => "comment",
            Self::Review => "review",
            Self::Repost => "repost",
            Self::Unknown => "unknown",
        }
    }
}
