//! The settings in a configuration file.

use std::time::Duration;

use reconnecting_stream::SessionOptions;

#[test]
fn settings_are_read_from_a_configuration_file_and_written_to_one() {
    let text = "receive_window = 4096\ntime_to_live = \"2m\"\n";
    let options: SessionOptions = toml::from_str(text).unwrap();
    let expected = SessionOptions::new()
        .receive_window(4096)
        .time_to_live(Duration::from_secs(120));
    assert_eq!(options, expected);
    let written = toml::to_string(&options).unwrap();
    assert!(written.contains("time_to_live = \"2m\""), "{written}");
    assert_eq!(toml::from_str::<SessionOptions>(&written).unwrap(), options);
}

#[test]
fn a_setting_that_does_not_exist_is_an_error_that_names_it() {
    let error = toml::from_str::<SessionOptions>("recieve_window = 1").unwrap_err();
    assert!(error.to_string().contains("recieve_window"), "{error}");
}
