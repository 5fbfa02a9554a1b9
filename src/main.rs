//! The `flagsmith-operator` binary.

fn main() {
    print!("{}", flagsmith_operator::api::crd_yaml().unwrap_or_default());
}
