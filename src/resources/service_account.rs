//! The `ServiceAccount` of all pods: without rights, without a mounted token.

use serde_json::{Map, json};

use super::child::child;
use crate::{
    model::child::{Child, Kind},
    validate::Installation,
};

pub(super) fn build(installation: &Installation) -> Child {
    child(
        installation,
        Kind::ServiceAccount,
        &installation.identity.name,
        None,
        Map::new(),
        json!({ "automountServiceAccountToken": false }),
    )
}
