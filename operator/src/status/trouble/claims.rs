//! A claim that no volume is found for.

use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim};

use super::super::{Reason, clean};
use super::{Trouble, message, newest};

/// A provisioner says again and again that it is waited for: after this many times it is not there.
const PATIENCE: i32 = 3;

/// Why a claim is not bound. Nothing is wrong with a claim that waits for its first pod, or for a provisioner at work.
pub(super) fn unbound(claim: &PersistentVolumeClaim, events: &[Event]) -> Option<Trouble> {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    if phase == Some("Bound") {
        return None;
    }
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let said = |why: &str| clean(&format!("claim `{name}`: {why}"));
    if phase == Some("Lost") {
        return Some(Trouble::new(
            Reason::ClaimPending,
            said("its volume is gone; bring the volume back"),
        ));
    }
    let reasons = ["FailedBinding", "ProvisioningFailed", "ExternalProvisioning"];
    let event = newest(events, claim.metadata.uid.as_deref(), &reasons)?;
    let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    let why = message(event);
    match event.reason.as_deref() {
        _ if why.contains("no storage class is set") => Some(Trouble::new(
            Reason::NoStorageClass,
            said("the cluster has no default StorageClass; make one, or name one in spec.checkpoint.storage.className"),
        )),
        _ if why.contains("storageclass") && why.contains("not found") => {
            let why = format!("there is no StorageClass `{}`; create it", class.unwrap_or_default());
            Some(Trouble::new(Reason::NoStorageClass, said(&why)))
        }
        Some("ExternalProvisioning") if event.count.unwrap_or(1) < PATIENCE => None,
        _ => Some(Trouble::new(Reason::ClaimPending, said(why))),
    }
}
