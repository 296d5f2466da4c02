@testable import pvgen

/// A small valid protocol that tests break in one place at a time.
let sampleProtocol = """
  protocol: sample
  title: A sample
  summary: For tests.
  headers: [xen/io/sample.h]
  transport: {kind: ring, summary: One ring, request: SampleRequest, response: SampleResponse}
  constants:
    - name: SampleLimits
      doc: Limits
      values:
        - {name: most, value: 4, c: SAMPLE_MOST, doc: The most}
  enumerations:
    - name: SampleOperation
      type: u8
      doc: Operations
      cases:
        - {name: get, value: 0, c: SAMPLE_GET, doc: Get}
        - {name: put, value: 1, c: SAMPLE_PUT, doc: Put}
  flags:
    - name: SampleFlags
      type: u16
      doc: Flags
      bits:
        - {name: fast, value: 1, c: SAMPLE_FAST, doc: Fast}
  strings:
    - name: SampleMode
      doc: Modes
      closed: true
      values:
        - {name: slow, value: s, doc: Slow}
  records:
    - name: SampleRequest
      c: struct sample_request
      doc: A request
      size: 16
      fields:
        - {name: operation, c: op, type: u8, offset: 0, doc: The operation}
        - {name: reference, c: ref, type: grant_ref, offset: {x86_64: 4, x86_32: 12}, doc: The page}
        - {name: place, c: place, type: u64, offset: {x86_64: 8, x86_32: 4}, doc: Where}
    - name: SampleResponse
      c: struct sample_response
      doc: A response
      size: 8
      fields:
        - {name: status, c: status, type: i16, offset: 0, doc: The status}
  keys:
    name: SampleKeys
    doc: Keys
    list:
      - {key: depth, directory: backend, writer: backend, type: u32, default: "1", minimum: 1, maximum: 8, doc: Depth}
      - {key: mode, directory: frontend, writer: toolstack, type: strings(SampleMode), default: s, doc: Mode}
  """

/// The mistakes in `text`, as a user sees them, with `old` replaced by `new`.
func mistakes(replacing old: String = "", with new: String = "", in text: String = sampleProtocol) -> [String] {
  do {
    let description = try ProtocolLoader(file: "p.yaml").load(old.isEmpty ? text : text.replacing(old, with: new))
    return Validator([description]).diagnostics().map(\.description)
  } catch {
    return error.diagnostics.map(\.description)
  }
}
