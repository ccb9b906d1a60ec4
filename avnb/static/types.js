// What crosses from Python or from one module to another. Comments only: nothing here runs.
// Maps are flat, row after row, one after the other for n moments, the middles of n equal stretches of the clip.

/**
 * Bytes as they arrive, from a kernel or inside a page.
 * @typedef {ArrayBuffer | ArrayBufferView<ArrayBuffer> | { base64: string }} Bytes
 *
 * The model of a widget, as anywidget gives it; that of a page without a kernel has the first five functions.
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(name: string, value: any) => void} set
 * @property {() => void} save_changes
 * @property {(event: string, f: (...args: any[]) => void) => void} on
 * @property {(event: string, f: (...args: any[]) => void) => void} off
 * @property {(message: object) => void} [send]
 * @property {{ kernel?: { statusChanged?: Signal, disposed?: Signal } }} [widget_manager]
 *
 * @typedef {object} Signal
 * @property {(f: (...args: any[]) => void) => void} connect
 * @property {(f: (...args: any[]) => void) => void} disconnect
 *
 * @typedef {'picture' | 'sound'} Kind  which of the two that a map covers or that is pointed at
 * @typedef {{ x: number, y: number, w: number, h: number }} Box  in a canvas, CSS pixels
 */

// ---- from Python ----

/**
 * `player.make_scene`: one clip, with all that is needed to play, draw and ask.
 * @typedef {object} Scene
 * @property {string} title
 * @property {number} start  of the clip in its file, s
 * @property {number} seconds  length
 * @property {number} fps  frames per second
 * @property {number} frames  how many; 0: there is no picture
 * @property {[number, number]} size  height and width of the frames, pixels
 * @property {[number, number, number, number]} area  x0, y0, x1, y1 of what the maps cover, fractions of the frame
 * @property {Source[]} truth  what is known to be in the clip
 * @property {Bytes[]} media  of each sound: mp4, or wav where there is no picture
 * @property {Bytes} poster  JPEG of the first frame
 * @property {PackedSound[]} sounds
 * @property {PackedPanel[]} panels  absent while there is nothing to show
 * @property {string[]} notes  sentences above the player
 * @property {number} [hear]  which sound is heard first
 *
 * `player.truth_of`: a source.
 * @typedef {object} Source
 * @property {string} label
 * @property {boolean} sounding
 * @property {(number[] | null)[]} boxes  of each frame: x0, y0, x1, y1, fractions
 * @property {[number, number] | null} band  Hz
 * @property {[number, number][]} active  from and to, s
 *
 * `player.make_panel`: what one network makes of the clip.
 * @typedef {object} PackedPanel
 * @property {string} label
 * @property {string} note
 * @property {string} unit  of the maps' values
 * @property {number} sound  which of the scene's sounds it heard
 * @property {Record<string, PackedMap>} video  [n, h, w]
 * @property {Record<string, PackedMap>} audio  [n, frequencies]
 * @property {{ video?: PackedEmbeddings, audio?: PackedEmbeddings }} local  of each cell
 *
 * `player.pack_map`.
 * @typedef {object} PackedMap
 * @property {Bytes} data  uint8; 255 is no value
 * @property {number[]} shape
 * @property {number} lo  value of code 0
 * @property {number} hi  value of code 254
 *
 * @typedef {{ data: Bytes, shape: number[], scale: number }} PackedEmbeddings  int8; times `scale`: unit vectors
 *
 * `player._pack_audio`.
 * @typedef {object} PackedSound
 * @property {string} label
 * @property {number[]} hz  centres of the spectrogram's rows, rising
 * @property {number} seconds
 * @property {{ data: Bytes }} wave  int8: lowest and highest sample of each stretch, in 127ths of full scale
 * @property {PackedMap | null} spec  spectrogram [times, frequencies], dB
 *
 * `Player.view`: what is switched on.
 * @typedef {object} ViewOptions
 * @property {string} layer  name of the picture's map, or 'none'
 * @property {string} band  name of the sound's map, or 'none'
 * @property {number} opacity  0 ... 1
 * @property {string} colour  name of a colour map
 * @property {'clip' | 'frame' | 'all'} per  what the colours' scale spans: the clip, each moment, all panels
 * @property {boolean} contours
 * @property {boolean} truth
 * @property {number} speed
 * @property {boolean} loop
 * @property {number | null} from  of the stretch that is looped, s
 * @property {number | null} to
 * @property {number} hear  number of the sound that is heard
 * @property {number} volume  0 ... 1
 *
 * `Player.lock`: a cell that is pointed at.
 * @typedef {object} Target
 * @property {Kind} kind
 * @property {number} panel
 * @property {number} x  fraction of the map's width; 0 in the sound, where the time says it
 * @property {number} y  fraction of the map's height: downwards in the picture, upwards in the sound
 * @property {number} time  s
 */

// ---- in the player ----

/**
 * A panel of the scene, unpacked, and its elements.
 * @typedef {object} Panel
 * @property {string} label
 * @property {string} note
 * @property {string} unit
 * @property {number} sound
 * @property {Record<string, Layer>} video
 * @property {Record<string, Layer>} audio
 * @property {{ video?: Embeddings, audio?: Embeddings }} local
 * @property {HTMLElement} element
 * @property {Record<Kind | 'wave', Surface>} canvas
 * @property {Record<Kind | 'ground', Offscreen>} offscreen  the maps as colours, the spectrogram in grey
 * @property {Record<Kind, Bar>} bars
 * @property {Answer | null} [answer]  to what is pointed at
 * @property {Float32Array<ArrayBuffer>} [room]  for the next answer
 * @property {DrawnMap | null} [picture]  drawn now
 * @property {DrawnMap | null} [heard]  drawn now
 * @property {string | null} [soundKey]  what `heard` was made from
 * @property {Sound | null} [groundKey]  what the ground was drawn from
 * @property {boolean} [lined]  the spectrogram has a line in time on it
 * @property {number} [lineAt]  where, CSS pixels
 *
 * A named map of a panel: 'alone', 'guided', their difference, or what else Python sends.
 * @typedef {object} Layer
 * @property {Float32Array<ArrayBuffer>} x  [n, cells]
 * @property {number[]} shape  [n, h, w] or [n, frequencies]
 * @property {number} n  moments
 * @property {number} cells  of one moment
 * @property {number} lo
 * @property {number} hi
 * @property {boolean} signed  a difference, with 0 in the middle of its scale
 *
 * Cosines of the cell pointed at with all cells of the other modality, `kind`.
 * @typedef {Layer & { kind: Kind }} Answer
 * @typedef {{ q: Int8Array<ArrayBuffer>, shape: number[], scale: number }} Embeddings  [..., D]
 *
 * A map as it is drawn: 0 ... 1, or -1 ... 1 where it is signed.
 * @typedef {object} DrawnMap
 * @property {Float32Array<ArrayBuffer>} v  [h, w]
 * @property {number} h
 * @property {number} w
 * @property {number} lo  ends of the scale
 * @property {number} hi
 * @property {boolean} signed
 * @property {boolean} faint  covers little but the highest values
 * @property {string} unit
 * @property {boolean} eachMoment  scaled at each moment
 *
 * @typedef {object} Sound
 * @property {string} label
 * @property {number[]} hz
 * @property {number} seconds
 * @property {Int8Array<ArrayBuffer>} wave
 * @property {{ x: Float32Array<ArrayBuffer>, shape: number[], lo: number, hi: number } | null} spec
 *
 * A canvas with its size in CSS pixels and the cell that the arrow keys point at.
 * @typedef {HTMLCanvasElement & { w: number, h: number, ratio: number, cursor?: [number, number] }} Surface
 * @typedef {HTMLCanvasElement & { image?: ImageData, room?: Float32Array<ArrayBuffer> }} Offscreen
 * @typedef {HTMLVideoElement & { begun: boolean }} Medium  begun: its length is known, it has taken over the time
 *
 * The colour bar under a map.
 * @typedef {object} Bar
 * @property {HTMLElement} element
 * @property {HTMLCanvasElement} strip
 * @property {HTMLElement} lo
 * @property {HTMLElement} hi
 * @property {HTMLElement} unit
 * @property {string} [key]  what it shows
 */

export {};
