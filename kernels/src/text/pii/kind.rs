//! The kinds of identifiers and sets of them.

use serde::{Deserialize, Serialize};

/// What kind of identifier a [`PiiSpan`](super::PiiSpan) is. Serialised under [`PiiKind::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PiiKind {
    /// An e-mail address, also spelt out (`name [at] example [dot] org`).
    Email,
    /// A phone number: international, or in the national form of a number plan that tells itself by its shape;
    /// other national forms count behind a word such as `tel`.
    Phone,
    /// An IP address, version 4 or 6; those of one's own machine (`127.0.0.1`, `::1`) do not count.
    IpAddress,
    /// The number of a payment card: length and first digits of a scheme, with the right check digit.
    Card,
    /// An international bank account number: structure of its country, with the right check digits.
    Iban,
    /// A number by which a state knows a person (tax, health, identity), with its check digits where it has any.
    NationalId,
    /// A street with a number, and the flat, town and postal code that follow.
    StreetAddress,
    /// A link to somebody's profile, or one with an e-mail address or a secret among its parameters.
    PersonalUrl,
    /// The name of an account: `@name`, `u/name`, `name#1234`.
    Handle,
}

impl PiiKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Email,
        Self::Phone,
        Self::IpAddress,
        Self::Card,
        Self::Iban,
        Self::NationalId,
        Self::StreetAddress,
        Self::PersonalUrl,
        Self::Handle,
    ];

    /// The name in configs, tables and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::IpAddress => "ip_address",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::NationalId => "national_id",
            Self::StreetAddress => "street_address",
            Self::PersonalUrl => "personal_url",
            Self::Handle => "handle",
        }
    }

    /// What [`redact`](super::redact) writes in its place.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Email => "<EMAIL>",
            Self::Phone => "<PHONE>",
            Self::IpAddress => "<IP_ADDRESS>",
            Self::Card => "<CARD>",
            Self::Iban => "<IBAN>",
            Self::NationalId => "<NATIONAL_ID>",
            Self::StreetAddress => "<STREET_ADDRESS>",
            Self::PersonalUrl => "<PERSONAL_URL>",
            Self::Handle => "<HANDLE>",
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PiiKinds(u16);

impl PiiKinds {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Every kind of [`PiiKind::ALL`].
    pub const ALL: Self = Self((1 << PiiKind::ALL.len()) - 1);

    /// This set and `kind`.
    #[must_use]
    pub const fn with(self, kind: PiiKind) -> Self {
        Self(self.0 | 1 << kind as u16)
    }

    /// This set but for `kind`.
    #[must_use]
    pub const fn without(self, kind: PiiKind) -> Self {
        Self(self.0 & !(1 << kind as u16))
    }

    /// Whether `kind` is in the set.
    pub const fn contains(self, kind: PiiKind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }

    /// Whether the set has no kind.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds of the set, in the order of [`PiiKind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = PiiKind> {
        PiiKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// Whether any kind of `other` is in the set.
    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Every kind.
impl Default for PiiKinds {
    fn default() -> Self {
        Self::ALL
    }
}

impl FromIterator<PiiKind> for PiiKinds {
    fn from_iter<I: IntoIterator<Item = PiiKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::with)
    }
}
