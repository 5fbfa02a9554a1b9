//! Causes around the operator itself and the resource that it reads.

use super::Entry;
use crate::model::{Code, Severity};

pub const ENTRIES: &[Entry] = &[
    Entry {
        code: Code::Forbidden,
        severity: Severity::Critical,
        title: "The operator lacks a permission",
        explanation: "The API server refuses the operator a request; its ClusterRole or RoleBinding does not match its version or scope.",
        passes: "No, it needs a change.",
        remedy: "Upgrade the operator's chart (which carries its roles), or add the namespace to what it watches.",
        confirm: "kubectl auth can-i VERB RESOURCE --as=system:serviceaccount:NAMESPACE:NAME.",
    },
    Entry {
        code: Code::ChildNotOwned,
        severity: Severity::Critical,
        title: "An object of that name belongs to somebody else",
        explanation: "The operator would create an object that exists and is not its own. It is neither adopted nor overwritten.",
        passes: "No, it needs a change.",
        remedy: "Delete or rename that object, or rename the FlagsmithDeployment.",
        confirm: "kubectl get KIND NAME -o yaml: ownerReferences and managedFields say whose it is.",
    },
    Entry {
        code: Code::CrdOutdated,
        severity: Severity::Warning,
        title: "The installed resource definition is older than the operator",
        explanation: "Helm does not upgrade CRDs; new fields are dropped by the API server without a word.",
        passes: "No, it needs a change.",
        remedy: "kubectl apply --server-side -f crds/ of the operator's version.",
        confirm: "kubectl get crd flagsmithdeployments.operator.flagsmith.com -o jsonpath='{.metadata.annotations}'.",
    },
    Entry {
        code: Code::Suspended,
        severity: Severity::Info,
        title: "The operator is told to leave this installation alone",
        explanation: "It observes and reports, and changes nothing.",
        passes: "No. It lasts until it is lifted.",
        remedy: "Remove it when the work by hand is done.",
        confirm: "spec.suspend of the resource.",
    },
    Entry {
        code: Code::InvalidSpec,
        severity: Severity::Critical,
        title: "The resource cannot be carried out as written",
        explanation: "A field has a value that the schema allows and that makes no sense together with others. What runs keeps running.",
        passes: "No, it needs a change.",
        remedy: "Correct the field that the message names.",
        confirm: "The message names the field.",
    },
];
