//! Link options of the addon.

fn main() {
    napi_build::setup();
    // Node unloads an addon when the last worker that used it ends. Instar's signal handlers and idle slots stay behind,
    // so its code must, too.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
