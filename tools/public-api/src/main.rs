//! Prints the public API that a file of rustdoc's JSON describes, without the impls of auto traits,
//! blanket impls and derived impls.

use std::path::PathBuf;
use std::{env, error, fs};

use rustdoc_types::FORMAT_VERSION;

fn main() -> Result<(), Box<dyn error::Error>> {
    let json = PathBuf::from(env::args().nth(1).ok_or("names no file of JSON")?);
    let version = format_version(&fs::read_to_string(&json)?).ok_or("not rustdoc's JSON")?;
    if version != FORMAT_VERSION {
        let problem = format!(
            "rustdoc writes format {version}, and `public-api` reads format {FORMAT_VERSION}: in \
             tools/public-api/Cargo.toml set `rustdoc-types` to 0.{version}, and `public-api` to the \
             version that requires it"
        );
        return Err(problem.into());
    }
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    for item in api.items() {
        println!("{item}");
    }
    Ok(())
}

/// Returns the version of the format, which later formats have too.
fn format_version(json: &str) -> Option<u32> {
    let (_, rest) = json.split_once("\"format_version\":")?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}
