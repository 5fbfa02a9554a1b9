//! An object of that name belongs to somebody else.

use crate::{causes::cause::Cause, model::Component};

pub(crate) static CAUSE: Cause = Cause {
    needs_person: true,
    is_refusal: true,
    ..Cause::critical(Component::Operator, include_str!("child_not_owned.md"))
};
