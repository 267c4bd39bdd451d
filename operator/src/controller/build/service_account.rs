//! Who the runners are: an account that may do nothing and gets no token.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{Blueprint, metadata, names};

pub(super) fn build(blueprint: &Blueprint) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(blueprint, names::runners(&blueprint.key.name)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
