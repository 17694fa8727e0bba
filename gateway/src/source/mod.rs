//! Where credentials come from.

mod awaited;
mod identity;
mod observer;
mod sandbox;
mod sts;
mod token_request;
mod web_identity;

pub use awaited::Awaited;
pub use identity::{IdentityError, IdentitySettings, base_identity};
pub use observer::{StsObserver, StsOperation};
pub use sandbox::SandboxSource;
pub use sts::{Caller, Contact, StsSettings, StsSource, WhoAmI};
pub use token_request::TokenRequests;
pub use web_identity::{Token, TokenError, TokenFiles, TokenSupplier};
